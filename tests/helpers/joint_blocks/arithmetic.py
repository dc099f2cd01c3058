"""Arithmetic of transformer blocks, written out in 64 bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear(module, x):
    y = x @ module.weight.double().T
    return y if module.bias is None else y + module.bias.double()


def layer_norm(x, eps=1e-6):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + eps)


def rms_norm(module, x):
    eps = torch.finfo(torch.float32).eps if module.eps is None else module.eps
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps) * module.weight.double()


def normed(module, x):
    """Apply the norm of queries or keys, if there is one."""
    if module is None:
        return x
    return (
        layer_norm(x, module.eps) if "LayerNorm" in type(module).__name__ else rms_norm(module, x)
    )


def silu(x):
    return x / (1 + torch.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def feed_forward(module, x):
    return linear(module.net[2], gelu(linear(module.net[0].proj, x)))


def heads(x, n):
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def turned(x, angle):
    """Turn neighboring pairs of features, *shape* ``(row, head, token, feature)``, by complex numbers."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * angle
    return torch.view_as_real(pairs).flatten(-2)


def unit(angles):
    return torch.polar(torch.ones_like(angles), angles)


def frequencies(size, theta):
    return theta ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)


def attend(text, pixels, marks=None):
    """Let text attend to text and pixels, and pixels to the same; each is query, key and value.

    Returns the attention of pixels to text, *shape* ``(row, head, pixel, token)``, and the outputs of the text, *shape*
    ``(row, head, token, feature)``. Chroma adds 1 to a logit if neither token is padding, which `marks` has as 0.
    """
    (tq, tk, tv), (pq, pk, pv) = text, pixels
    key, value = torch.cat([tk, pk], dim=2), torch.cat([tv, pv], dim=2)
    of_keys = torch.ones(key.shape[2]).double()
    if marks is not None:
        of_keys[: len(marks)] = marks

    def weights(query: Tensor, own: Tensor) -> Tensor:
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if marks is not None:
            logits = logits + own[:, None] * of_keys
        raised = torch.exp(logits - logits.amax(-1, keepdim=True))
        return raised / raised.sum(-1, keepdim=True)

    n = tk.shape[2]
    return weights(pq, of_keys[n:])[..., :n], weights(tq, of_keys[:n]) @ value


def joined(x):
    return x.transpose(1, 2).flatten(2)


def projected(attention, x, names, norms, n_heads):
    query, key, value = (heads(linear(getattr(attention, name), x), n_heads) for name in names)
    return (
        normed(getattr(attention, norms[0]), query),
        normed(getattr(attention, norms[1]), key),
        value,
    )


OF_PIXELS = ("to_q", "to_k", "to_v"), ("norm_q", "norm_k")
OF_TEXT = ("add_q_proj", "add_k_proj", "add_v_proj"), ("norm_added_q", "norm_added_k")


def shifted(x, shift, scale):
    return x * (1 + scale) + shift


def chunks(x, n):
    return [each[:, None] if each.ndim == 2 else each for each in x.chunk(n, dim=-1)]


def turned_by(parts, rotary, places):
    cosine, sine = rotary
    angle = torch.complex(cosine.double(), sine.double())[places, ::2]
    query, key, value = parts
    return turned(query, angle), turned(key, angle), value
