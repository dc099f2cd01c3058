"""Pipelines that generate frames."""

from __future__ import annotations

from typing import Any, Final

from daam_syntax.errors import TraceError

_SIGNS: Final = (
    "video_processor",
    "vae_scale_factor_temporal",
    "vae_temporal_compression_ratio",
    "vae_temporal_scale_factor",
    "motion_adapter",
)
"""Attributes that only pipelines have that generate several frames at once."""


def generates_frames(pipe: Any) -> bool:
    """Return whether a pipeline generates frames of a video, or decodes its latents as such."""
    return any(getattr(pipe, name, None) is not None for name in _SIGNS)


def require_images(pipe: Any, purpose: str) -> None:
    """Raise a `TraceError` if a pipeline generates frames, for a purpose such as "edit attention"."""
    if generates_frames(pipe):
        raise TraceError(
            f"Expected a pipeline that generates images, to {purpose}, but {type(pipe).__name__} generates the frames "
            "of a video: only trace(pipe) records frames, for Trace.video_maps()."
        )
