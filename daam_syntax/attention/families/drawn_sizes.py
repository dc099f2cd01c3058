"""The size of the images that a pipeline draws unless it is told another."""

from __future__ import annotations

import inspect
from typing import Any

from daam_syntax.attention.families.description import Family


def drawn_size(pipe: Any, family: Family) -> tuple[int, int] | None:
    """Return the height and width of the images that a pipeline draws by default, in pixels; None if unknown.

    Pipelines compute it from ``default_sample_size``, or from the ``sample_size`` of the denoiser, times the factor of
    the autoencoder; PRX has it in pixels, and a few have it in their signature.
    """
    if hasattr(pipe, "get_default_resolution"):
        side = int(pipe.get_default_resolution())
        return side, side
    cells = getattr(pipe, "default_sample_size", None)
    if cells is None:
        cells = getattr(family.denoiser_of(pipe).config, "sample_size", None)
    if cells is not None:
        height, width = (cells, cells) if isinstance(cells, int) else cells
        return int(height * pipe.vae_scale_factor), int(width * pipe.vae_scale_factor)
    known = inspect.signature(type(pipe).__call__).parameters
    height, width = (getattr(known.get(name), "default", None) for name in ("height", "width"))
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
