"""Diffusion transformers that generate the frames of a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from daam_syntax.attention.families.description import Family, TextEncoder, ends_with
from daam_syntax.attention.families.grids import fitting
from daam_syntax.attention.families.layouts import cross, text_first
from daam_syntax.attention.families.text_streams import COG_VIDEO_X_STREAM
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


def _size(inputs: Mapping[str, Any]) -> Grid:
    height, width = inputs["hidden_states"].shape[-2:]
    return int(height), int(width)


def _image_size(pipe: Any, inputs: Mapping[str, Any]) -> Grid:
    height, width = _size(inputs)
    factor = int(pipe.vae_scale_factor_spatial)
    return height * factor, width * factor


def _first_alone(n_latent: int, factor: int) -> list[range]:
    """Return the frames that latent ones become if the first becomes one frame, and each other one `factor` frames."""
    return [range(max(0, factor * (k - 1) + 1), factor * k + 1) for k in range(n_latent)]


def _refuse_joined_frames(n_joined: int | None) -> None:
    if n_joined not in (None, 1):
        raise TraceError(
            f"Expected a pixel query for each latent frame, but this model joins {n_joined} latent frames into one: "
            "use a model that keeps them apart, or register a Family that describes the frames."
        )


def _wan_frames(pipe: Any, inputs: Mapping[str, Any]) -> list[range]:
    if getattr(pipe, "transformer_2", None) is not None:
        raise TraceError(
            "Expected one denoiser, but this pipeline has two, transformer and transformer_2, which draw the frames of "
            "a video in turns, and only one can be traced: use a Wan model with one transformer."
        )
    _refuse_joined_frames(pipe.transformer.config.patch_size[0])
    return _first_alone(inputs["hidden_states"].shape[2], pipe.vae_scale_factor_temporal)


def _wan_grid(pipe: Any, inputs: Mapping[str, Any], n_pixels: int) -> Grid | None:
    (height, width), (_, down, across) = _size(inputs), pipe.transformer.config.patch_size
    return fitting((height // down, width // across), n_pixels)


WAN: Final = Family(
    name="Wan",
    denoiser_classes=("WanTransformer3DModel",),
    pipelines=("WanPipeline", "WanVideoToVideoPipeline"),
    encoders=(TextEncoder(name="t5"),),
    is_text_attention=ends_with(".attn2"),
    layout=cross,
    guidance="by-text",
    grid=_wan_grid,
    image_size=_image_size,
    text_states=lambda denoiser, text: denoiser.condition_embedder.text_embedder(text),
    frames=_wan_frames,
)


def _cog_frames(pipe: Any, inputs: Mapping[str, Any]) -> list[range]:
    """Return the drawn frames of each latent one: the first becomes one frame if the number of latent ones is odd."""
    _refuse_joined_frames(pipe.transformer.config.patch_size_t)
    n_latent, factor = inputs["hidden_states"].shape[1], pipe.vae_scale_factor_temporal
    if n_latent % 2:
        return _first_alone(n_latent, factor)
    return [range(factor * k, factor * (k + 1)) for k in range(n_latent)]


def _cog_grid(pipe: Any, inputs: Mapping[str, Any], n_pixels: int) -> Grid | None:
    (height, width), side = _size(inputs), pipe.transformer.config.patch_size
    return fitting((height // side, width // side), n_pixels)


COG_VIDEO_X: Final = Family(
    name="CogVideoX",
    denoiser_classes=("CogVideoXTransformer3DModel",),
    pipelines=("CogVideoXPipeline", "CogVideoXVideoToVideoPipeline"),
    encoders=(TextEncoder(name="t5"),),
    is_text_attention=ends_with(".attn1"),
    layout=text_first,
    guidance="unconditional-first",
    grid=_cog_grid,
    image_size=_image_size,
    text_stream=COG_VIDEO_X_STREAM,
    frames=_cog_frames,
)
