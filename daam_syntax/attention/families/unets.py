"""UNets with cross-attention."""

from __future__ import annotations

from typing import Final

from daam_syntax.attention.families.description import Family, TextEncoder, is_cross_attention
from daam_syntax.attention.families.grids import halvings, latents_decoded
from daam_syntax.attention.families.layouts import cross

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
