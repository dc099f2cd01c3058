"""UNets with cross-attention."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from daam_syntax.attention.families.description import Family, TextEncoder, is_cross_attention
from daam_syntax.attention.families.grids import halvings, latent_size, latents_decoded
from daam_syntax.attention.families.layouts import cross
from daam_syntax.maps.selection import Grid

UNET: Final = Family(
    name="UNet",
    denoiser="unet",
    denoiser_classes=("UNet2DConditionModel",),
    # SDXL's second encoder is concatenated along the features, so both have the same positions.
    encoders=(TextEncoder(name="text", tokenizers=("tokenizer", "tokenizer_2")),),
    is_text_attention=is_cross_attention,
    layout=cross,
    guidance="unconditional-first",
    grid=halvings,
    image_size=latents_decoded,
    text_states=lambda denoiser, text: text,
)
"""Stable Diffusion 1 and 2, SDXL, LCM and Turbo models, DeepFloyd IF, and Kolors."""


def _cut_to_the_longest(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Keep one position more than the longest of the prompts has tokens."""
    texts = arguments["prompt"]
    lengths = [sum(mask)]
    if texts is not None:
        texts = [texts] if isinstance(texts, str) else list(texts)
        read = pipe.tokenizer(texts, truncation=True, max_length=len(mask))
        lengths = [len(ids) for ids in read["input_ids"]]
    return range(min(max(lengths) + 1, len(mask)))


def _decoded_by_movq(pipe: Any, inputs: Mapping[str, Any]) -> Grid:
    """Return the size of the image that a MOVQ decodes, which doubles the size between its blocks."""
    factor = 2 ** (len(pipe.movq.config.block_out_channels) - 1)
    height, width = latent_size(inputs)
    return height * factor, width * factor


KANDINSKY_3: Final = Family(
    name="Kandinsky 3",
    denoiser="unet",
    denoiser_classes=("Kandinsky3UNet",),
    encoders=(TextEncoder(name="t5", kept=_cut_to_the_longest),),
    # The first of each block is a self-attention, although diffusers marks it as cross-attention.
    is_text_attention=lambda path, module: (
        re.fullmatch(r".*\.attentions\.[1-9]\d*\.attention", path) is not None
    ),
    layout=cross,
    guidance="unconditional-first",
    grid=halvings,
    image_size=_decoded_by_movq,
)
