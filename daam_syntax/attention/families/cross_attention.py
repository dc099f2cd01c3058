"""Diffusion transformers with cross-attention to the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from daam_syntax.attention.families.description import Family, TextEncoder, is_cross_attention
from daam_syntax.attention.families.grids import latents_decoded, patches
from daam_syntax.attention.families.layouts import cross


def _projected(denoiser: Any, text: Tensor) -> Tensor:
    projection = denoiser.caption_projection
    return text if projection is None else projection(text)


PIXART: Final = Family(
    name="PixArt",
    denoiser_classes=("PixArtTransformer2DModel",),
    encoders=(TextEncoder(name="t5"),),
    is_text_attention=is_cross_attention,
    layout=cross,
    guidance="unconditional-first",
    grid=patches,
    image_size=latents_decoded,
    text_states=_projected,
)


def _first_and_last(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Keep the start token and the last tokens; the instruction before the prompt is removed."""
    n_last = min(arguments["max_sequence_length"], len(mask)) - 1
    return [0, *range(len(mask) - n_last, len(mask))]


SANA: Final = Family(
    name="Sana",
    denoiser_classes=("SanaTransformer2DModel",),
    encoders=(TextEncoder(name="gemma", kept=_first_and_last, has_template=True),),
    is_text_attention=is_cross_attention,  # its self-attention is linear
    layout=cross,
    guidance="unconditional-first",
    grid=patches,
    image_size=latents_decoded,
    text_states=lambda denoiser, text: denoiser.caption_norm(_projected(denoiser, text)),
)

HUNYUAN_DIT: Final = Family(
    name="HunyuanDiT",
    denoiser_classes=("HunyuanDiT2DModel",),
    encoders=(
        TextEncoder(name="clip"),
        TextEncoder(name="t5", tokenizers=("tokenizer_2",)),
    ),
    is_text_attention=is_cross_attention,
    layout=cross,
    guidance="unconditional-first",
    grid=patches,
    image_size=latents_decoded,
    second_text="encoder_hidden_states_t5",
)

PRX: Final = Family(
    name="PRX",
    denoiser_classes=("PRXTransformer2DModel",),
    encoders=(TextEncoder(name="t5gemma"),),
    is_text_attention=lambda path, module: path.endswith(".attention"),
    layout=cross,  # keys are text and pixels, queries only pixels
    guidance="unconditional-first",
    grid=patches,
    image_size=latents_decoded,
)

LUMINA_NEXT: Final = Family(
    name="Lumina-Next",
    denoiser_classes=("LuminaNextDiT2DModel",),
    encoders=(TextEncoder(name="gemma"),),
    is_text_attention=is_cross_attention,
    layout=cross,
    guidance="conditional-first",
    grid=patches,
    image_size=latents_decoded,
)
