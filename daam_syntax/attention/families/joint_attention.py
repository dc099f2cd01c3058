"""Diffusion transformers with joint attention, in which pixels and text attend to each other."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import nn

from daam_syntax.attention.families import grids
from daam_syntax.attention.families.description import Family, TextEncoder, ends_with
from daam_syntax.attention.families.image_latents import PACKED, PACKED_FRAME, PACKED_PATCHES
from daam_syntax.attention.families.layouts import (
    CallSizes,
    TextRefiner,
    TokenLayout,
    image_first,
    text_first,
)
from daam_syntax.attention.families.packed_images import (
    PackedImages,
    PackedLatents,
    images_of_ids,
    images_of_shapes,
)
from daam_syntax.attention.families.text_streams import (
    AURA_FLOW_STREAM,
    CHROMA_STREAM,
    COGVIEW_4_STREAM,
    FLUX_STREAM,
    LUMINA_2_STREAM,
    QWEN_IMAGE_STREAM,
    SD3_STREAM,
    Z_IMAGE_STREAM,
)
from daam_syntax.attention.softmax.transfers import ReadOnce
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


def _of_sd3(path: str, module: nn.Module) -> bool:
    """Leave out the attention of an IP-Adapter among its image's features, which is no block of the denoiser."""
    return path.startswith("transformer_blocks.") and ends_with(".attn")(path, module)


SD3: Final = Family(
    name="Stable Diffusion 3",
    denoiser_classes=("SD3Transformer2DModel",),
    encoders=(
        TextEncoder(
            name="clip", tokenizers=("tokenizer", "tokenizer_2")
        ),  # concatenated along the features
        TextEncoder(name="t5", tokenizers=("tokenizer_3",), prompts=("prompt_3", "prompt")),
    ),
    is_text_attention=_of_sd3,
    layout=image_first,
    guidance="unconditional-first",
    grid=grids.patches,
    image_size=grids.latents_decoded,
    is_extra_call=lambda inputs: inputs.get("skip_layers") is not None,  # skip-layer guidance
    text_stream=SD3_STREAM,
)

AURA_FLOW: Final = Family(
    name="AuraFlow",
    denoiser_classes=("AuraFlowTransformer2DModel",),
    encoders=(TextEncoder(name="t5"),),
    is_text_attention=ends_with(".attn"),
    layout=functools.partial(text_first, registers=8),
    guidance="unconditional-first",
    grid=grids.patches,
    image_size=grids.latents_decoded,
    text_stream=AURA_FLOW_STREAM,
)

_NUMBERED: Final = PackedLatents(images_of_ids)

FLUX: Final = Family(
    name="Flux",
    denoiser_classes=("FluxTransformer2DModel",),
    # CLIP provides only a pooled vector, which is not a key.
    encoders=(TextEncoder(name="t5", tokenizers=("tokenizer_2",), prompts=("prompt_2", "prompt")),),
    is_text_attention=ends_with(".attn"),
    layout=_NUMBERED.layout,
    guidance="by-text",
    grid=_NUMBERED.grid,
    image_size=_NUMBERED.image_size,
    references=_NUMBERED.references,
    image_latents=PACKED,
    text_stream=FLUX_STREAM,
)

CHROMA: Final = Family(
    name="Chroma",
    denoiser_classes=("ChromaTransformer2DModel",),
    encoders=(TextEncoder(name="t5"),),
    is_text_attention=ends_with(".attn"),
    layout=_NUMBERED.layout,
    guidance="by-text",
    grid=_NUMBERED.grid,
    image_size=_NUMBERED.image_size,
    references=_NUMBERED.references,
    image_latents=PACKED,
    text_stream=CHROMA_STREAM,
)


def _without_stored_references(inputs: Mapping[str, Any]) -> PackedImages:
    """Return the images of a call, unless the attention to references is reused from another call."""
    if inputs.get("kv_cache_mode") is not None:
        raise TraceError(
            "Expected reference images whose pixels attend in every step, but this pipeline stores their keys in the "
            "first step: use Flux2KleinPipeline, which computes them anew."
        )
    return images_of_ids(inputs)


_FLUX_2: Final = PackedLatents(_without_stored_references)

FLUX_2: Final = Family(
    name="Flux 2",
    denoiser_classes=("Flux2Transformer2DModel",),
    encoders=(TextEncoder(name="text", has_template=True),),  # Mistral or Qwen
    is_text_attention=ends_with(".attn"),
    layout=_FLUX_2.layout,
    guidance="by-text",
    grid=_FLUX_2.grid,
    image_size=_FLUX_2.image_size,
    references=_FLUX_2.references,
    image_latents=PACKED_PATCHES,
    text_stream=FLUX_STREAM,
)


def _without_template(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Remove padding, and a fixed number of tokens before the prompt; with images in the prompt, nothing is cut off."""
    read = [position for position, is_read in enumerate(mask) if is_read]
    kept = read[pipe.prompt_template_encode_start_idx :]
    return kept if "image" in arguments else kept[: arguments["max_sequence_length"]]


_SHAPED: Final = PackedLatents(images_of_shapes)

QWEN_IMAGE: Final = Family(
    name="Qwen-Image",
    denoiser_classes=("QwenImageTransformer2DModel",),
    # A processor has a tokenizer of its own, which is read if the prompt contains images.
    encoders=(
        TextEncoder(
            name="qwen",
            tokenizers=("processor", "tokenizer"),
            kept=_without_template,
            has_template=True,
        ),
    ),
    is_text_attention=ends_with(".attn"),
    layout=_SHAPED.layout,
    guidance="by-text",
    grid=_SHAPED.grid,
    image_size=_SHAPED.image_size,
    references=_SHAPED.references,
    image_latents=PACKED_FRAME,
    text_stream=QWEN_IMAGE_STREAM,
)


def _padded_left(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Keep all positions, after left padding to a multiple of 16."""
    return [*[None] * (-len(mask) % 16), *range(len(mask))]


COGVIEW_4: Final = Family(
    name="CogView4",
    denoiser_classes=("CogView4Transformer2DModel",),
    encoders=(TextEncoder(name="glm", kept=_padded_left),),
    is_text_attention=ends_with(".attn1"),
    layout=text_first,
    guidance="by-text",
    grid=grids.patches,
    image_size=grids.latents_decoded,
    text_stream=COGVIEW_4_STREAM,
)


_lengths: ReadOnce[list[int]] = ReadOnce(lambda mask: mask.sum(dim=1).tolist())


def _ragged_text_first(sizes: CallSizes, inputs: Mapping[str, Any]) -> list[TokenLayout] | None:
    """Return the layout of joint attention in which the pixels of each row directly follow its unmasked text."""
    lengths = _lengths(inputs["encoder_attention_mask"])
    n_pixels = sizes.keys - max(lengths)
    if sizes.queries != sizes.keys or n_pixels < 1:
        return None
    return [TokenLayout(slice(length, length + n_pixels), slice(0, length)) for length in lengths]


LUMINA_2: Final = Family(
    name="Lumina 2",
    denoiser_classes=("Lumina2Transformer2DModel",),
    encoders=(TextEncoder(name="gemma", has_template=True),),
    is_text_attention=lambda path, module: path.startswith("layers.") and path.endswith(".attn"),
    layout=_ragged_text_first,
    guidance="by-text",
    grid=grids.patches,
    image_size=grids.latents_decoded,
    text_stream=LUMINA_2_STREAM,
    text_refiner=TextRefiner(
        lambda path: path.startswith("context_refiner.") and path.endswith(".attn"),
        lambda n_rows, n_text, inputs: _lengths(inputs["encoder_attention_mask"]),
    ),
)

_Z_PATCH: Final = 2
_Z_MULTIPLE: Final = 32  # pixels and text are each padded to a multiple of this


def _unmasked(mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]) -> Sequence[int | None]:
    return [position for position, is_read in enumerate(mask) if is_read]


def _z_grid(inputs: Mapping[str, Any]) -> Grid:
    image = inputs["x"][0]
    if isinstance(image, list):
        raise TraceError(
            f"Expected one image for each row, but got {len(image)}: this pipeline draws beside reference images in a "
            "way that is not known; use ZImagePipeline, or register a Family."
        )
    height, width = image.shape[-2:]
    return height // _Z_PATCH, width // _Z_PATCH


def _filled_image_first(sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
    """Return the layout of joint attention with pixels first, each part padded to a multiple of 32."""
    height, width = _z_grid(inputs)
    n_pixels = height * width
    start = n_pixels + -n_pixels % _Z_MULTIPLE
    if sizes.queries != sizes.keys or sizes.keys < start + sizes.text:
        return None
    return TokenLayout(slice(0, n_pixels), slice(start, start + sizes.text))


Z_IMAGE: Final = Family(
    name="Z-Image",
    denoiser_classes=("ZImageTransformer2DModel",),
    encoders=(TextEncoder(name="qwen", kept=_unmasked, has_template=True),),
    is_text_attention=lambda path, module: (
        path.startswith("layers.") and path.endswith(".attention")
    ),
    layout=_filled_image_first,
    guidance="conditional-first",
    grid=lambda pipe, inputs, n_pixels: _z_grid(inputs),
    image_size=lambda pipe, inputs: tuple(
        n * _Z_PATCH * pipe.vae_scale_factor for n in _z_grid(inputs)
    ),
    timestep="t",
    text="cap_feats",
    no_guidance=0.0,
    text_stream=Z_IMAGE_STREAM,
    text_refiner=TextRefiner(
        lambda path: path.startswith("context_refiner.") and path.endswith(".attention")
    ),
)
