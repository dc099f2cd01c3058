"""Blocks of Lumina 2 and Z-Image, with a concept in place of the prompt."""

from __future__ import annotations

import torch

from helpers.joint_blocks.arithmetic import (
    OF_PIXELS,
    attend,
    chunks,
    frequencies,
    joined,
    linear,
    projected,
    rms_norm,
    silu,
    turned,
    unit,
)


def lumina_parts(attention, x, angle):
    query, key, value = (
        x_.unflatten(-1, (-1, x_.shape[-1] // n)).transpose(1, 2)
        for x_, n in (
            (linear(attention.to_q, x), attention.heads),
            (
                linear(attention.to_k, x),
                attention.to_k.out_features * attention.heads // attention.to_q.out_features,
            ),
            (
                linear(attention.to_v, x),
                attention.to_k.out_features * attention.heads // attention.to_q.out_features,
            ),
        )
    )
    query, key = rms_norm(attention.norm_q, query), rms_norm(attention.norm_k, key)
    times = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(times, dim=1) for each in (key, value))
    return turned(query, angle), turned(key, angle), value


def lumina_forward(module, x):
    return linear(module.linear_2, silu(linear(module.linear_1, x)) * linear(module.linear_3, x))


def lumina_2(block, a, text):
    modulation = linear(block.norm1.linear, silu(a["temb"]))
    scale, gate, mlp_scale, mlp_gate = chunks(modulation, 4)
    rows = []
    of_text = text_angles(text.shape[1], a["axes"], 10000)
    for row, first in enumerate(a["lengths"]):  # the pixels of each row follow its own prompt
        pixels = slice(first, first + a["n_pixels"])
        own, image = (
            rms_norm(block.norm1.norm, each[row : row + 1]) * (1 + scale[row : row + 1])
            for each in (text, a["hidden_states"][:, pixels])
        )
        angle = a["image_rotary_emb"][row, pixels].to(torch.complex128)
        rows.append(
            attend(lumina_parts(block.attn, own, of_text), lumina_parts(block.attn, image, angle))
        )
    shares, out = (torch.cat(each) for each in zip(*rows, strict=True))
    made = rms_norm(block.norm2, linear(block.attn.to_out[0], joined(out)))
    text = text + torch.tanh(gate) * made
    inner = lumina_forward(block.feed_forward, rms_norm(block.ffn_norm1, text) * (1 + mlp_scale))
    return text + torch.tanh(mlp_gate) * rms_norm(block.ffn_norm2, inner), shares, out


def text_angles(n, axes, theta, first=0):
    """Return the rotary embeddings of text, which stands on the first axis alone."""
    places = torch.arange(first, first + n, dtype=torch.float64)
    own = torch.outer(places, frequencies(axes[0], theta))
    return unit(torch.cat([own, torch.zeros(n, sum(axes[1:]) // 2)], dim=-1))


def z_image(block, a, text):
    scale, gate, mlp_scale, mlp_gate = chunks(
        linear(block.adaLN_modulation[0], a["adaln_input"]), 4
    )
    n_image = a["n_pixels"] + -a["n_pixels"] % 32
    own, image = (
        rms_norm(block.attention_norm1, each) * (1 + scale) for each in (text, a["x"][:, :n_image])
    )
    of_image = a["freqs_cis"][:, None, :n_image].to(torch.complex128)
    of_text = text_angles(text.shape[1], a["axes"], 256, first=1)
    n = block.attention.heads
    (tq, tk, tv), (pq, pk, pv) = (
        projected(block.attention, each, *OF_PIXELS, n) for each in (own, image)
    )
    shares, out = attend(
        (turned(tq, of_text), turned(tk, of_text), tv),
        (turned(pq, of_image), turned(pk, of_image), pv),
    )
    made = rms_norm(block.attention_norm2, linear(block.attention.to_out[0], joined(out)))
    text = text + torch.tanh(gate) * made
    inner = z_forward(block.feed_forward, rms_norm(block.ffn_norm1, text) * (1 + mlp_scale))
    return text + torch.tanh(mlp_gate) * rms_norm(block.ffn_norm2, inner), shares, out


def z_forward(module, x):
    return linear(module.w2, silu(linear(module.w1, x)) * linear(module.w3, x))
