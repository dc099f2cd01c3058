"""Streams of concepts in joint attention, computed by hand in 64 bits from the weights of a model.

While a pipeline runs without a trace, `BlocksWithin` keeps the arguments of every block. `concept_attention` then
carries another text through the blocks, each of which is written out here: norms, modulation, projections, rotary
embeddings, a plain softmax, and the feed-forward network of the text side.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
from torch import Tensor, nn

from helpers.joint_blocks.arithmetic import (
    OF_PIXELS,
    joined,
    linear,
    projected,
    rms_norm,
    turned,
)
from helpers.joint_blocks.flux_blocks import flux, flux_2
from helpers.joint_blocks.one_stream import (
    lumina_2,
    lumina_forward,
    lumina_parts,
    text_angles,
    z_forward,
    z_image,
)
from helpers.joint_blocks.two_streams import (
    aura_flow,
    cog_video_x,
    cogview_4,
    qwen_image,
    sd3,
)

BLOCKS = r"((single_|joint_)?transformer_blocks|layers)\.\d+"


class BlocksWithin:
    """Records the inputs of a denoiser and the arguments of its blocks during a pipeline call."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.denoiser = denoiser
        self.inputs: list[dict[str, Any]] = []
        self.steps: list[list[tuple[nn.Module, dict[str, Any]]]] = []

    def during(self, draw):
        blocks = [m for path, m in self.denoiser.named_modules() if re.fullmatch(BLOCKS, path)]
        hooks = [self.denoiser.register_forward_pre_hook(self._step, with_kwargs=True)]
        hooks += [
            block.register_forward_pre_hook(self._block, with_kwargs=True) for block in blocks
        ]
        try:
            return draw()
        finally:
            for hook in hooks:
                hook.remove()

    def _step(self, module, args, kwargs):
        self.inputs.append(_by_name(module, args, kwargs))
        self.steps.append([])

    def _block(self, module, args, kwargs):
        self.steps[-1].append((module, _by_name(module, args, kwargs)))


def text_alone(case, pipe, draw):
    """Return a text as the denoiser receives it as a prompt of its own, and its mask."""
    watch = BlocksWithin(pipe.transformer)
    watch.during(draw)
    inputs = watch.inputs[0]
    masks = (inputs.get(name) for name in ("encoder_attention_mask", "attention_mask"))
    return inputs[case.text][0][None], next((mask for mask in masks if mask is not None), None)


def _by_name(module, args, kwargs):
    bound = inspect.signature(type(module).forward).bind(module, *args, **kwargs).arguments
    return {name: value for name, value in bound.items() if name != "self"}


def _refined(layers, text, parts, attention, forward, norms):
    """Carry a text through blocks of its own, without modulation."""
    for layer in layers:
        query, key, value = parts(layer, rms_norm(getattr(layer, norms[0]), text))
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        out = joined(torch.softmax(logits, dim=-1) @ value)
        out = linear(getattr(layer, attention).to_out[0], out)
        text = text + rms_norm(getattr(layer, norms[1]), out)
        inner = forward(layer.feed_forward, rms_norm(layer.ffn_norm1, text))
        text = text + rms_norm(layer.ffn_norm2, inner)
    return text


def _begin(name, model, text, mask):
    """Return a text as it enters the first block, and the number of tokens before it."""
    if name == "Qwen-Image":
        return linear(model.txt_in, rms_norm(model.txt_norm, text)), 0
    if name in ("CogView4", "CogVideoX"):
        return linear(model.patch_embed.text_proj, text), 0
    if name == "Lumina 2":
        norm, embed = model.time_caption_embed.caption_embedder
        text = linear(embed, rms_norm(norm, text[:, : int(mask.sum())]))
        angle = text_angles(text.shape[1], model.config.axes_dim_rope, 10000)

        def parts(layer, x):
            return lumina_parts(layer.attn, x, angle)

        norms = ("norm1", "norm2")
        return _refined(model.context_refiner, text, parts, "attn", lumina_forward, norms), 0
    if name == "Z-Image":
        norm, embed = model.cap_embedder
        text = linear(embed, rms_norm(norm, text))
        filling = model.cap_pad_token.double()[None].expand(1, -text.shape[1] % 32, -1)
        text = torch.cat([text, filling], dim=1)
        angle = text_angles(text.shape[1], model.axes_dims, 256, first=1)

        def own_parts(layer, x):
            query, key, value = projected(layer.attention, x, *OF_PIXELS, layer.attention.heads)
            return turned(query, angle), turned(key, angle), value

        norms = ("attention_norm1", "attention_norm2")
        return _refined(model.context_refiner, text, own_parts, "attention", z_forward, norms), 0
    text = linear(model.context_embedder, text)
    if name == "AuraFlow":
        return torch.cat([model.register_tokens.double(), text], dim=1), 8
    return text, 0


STEP = {
    "SD3": sd3,
    "AuraFlow": aura_flow,
    "Flux": flux,
    "Chroma": flux,
    "Flux 2": flux_2,
    "Flux 2 klein": flux_2,
    "Qwen-Image": qwen_image,
    "CogView4": cogview_4,
    "CogVideoX": cog_video_x,
    "Lumina 2": lumina_2,
    "Z-Image": z_image,
}


def _double(value, rows, n_rows):
    if isinstance(value, Tensor):
        value = value[rows] if value.ndim and len(value) == n_rows else value
        return value.double() if value.is_floating_point() else value
    if isinstance(value, tuple):
        return tuple(_double(each, slice(None), 0) for each in value)
    return value


@torch.no_grad()
def concept_attention(case, watch, text, mask, grid, rows_of, n_images):
    """Return what every block of every step with the prompts makes of another text.

    Parameters
    ----------
    case
        The family.
    watch
        The blocks of a pipeline call with prompts.
    text, mask
        The other text as the denoiser receives it, *shape* ``(1, token, feature)``, and its mask.
    grid
        Rows and columns of the pixels.
    rows_of
        Returns the rows of the prompts in a denoiser call, given its number and the number of rows, or None.
    n_images
        Number of images.

    Returns
    -------
    list of list of tuple
        For each step and block, the attention of pixels to the text, *shape* ``(row, head, pixel, token)``, and the
        outputs of the text, *shape* ``(row, head, token, feature)``.
    """
    model, name, n_pixels = watch.denoiser, case.name, grid[0] * grid[1]
    steps = []
    for number, (inputs, blocks) in enumerate(zip(watch.inputs, watch.steps, strict=True)):
        n_rows = len(inputs[case.text])
        rows = rows_of(number, n_rows)
        if rows is None:
            continue
        begun, before = _begin(name, model, text.double(), mask)
        stream = begun.expand(n_images, -1, -1)
        config = model.config
        known: dict[str, Any] = {
            "grid": grid,
            "n_pixels": n_pixels,
            "marks": mask[0, : text.shape[1]] if name == "Chroma" else None,
            "axes": config.get(
                "axes_dims_rope", config.get("axes_dim_rope", config.get("axes_dims"))
            ),
        }
        if name == "Lumina 2":
            known["lengths"] = inputs["encoder_attention_mask"].sum(dim=1).tolist()
        if name == "AuraFlow":
            known["n_text"] = 8 + inputs["encoder_hidden_states"].shape[1]
        made = []
        for block, given in blocks:
            arguments = {key: _double(value, rows, n_rows) for key, value in given.items()}
            stream, shares, out = STEP[name](block, arguments | known, stream)
            own = slice(before, before + text.shape[1])
            made.append((shares[:, :, :n_pixels, own], out[:, :, own]))
        steps.append(made)
    return steps
