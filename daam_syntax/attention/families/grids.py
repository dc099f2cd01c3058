"""The pixel grid of a layer and the size of the image, from the denoiser's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid

_PIXELS: Final = (3, 6)
"""Channels of a model that works on pixels: red, green and blue, perhaps beside those of a smaller image."""


def halved_grid(size: Grid, n_queries: int) -> Grid | None:
    """Halve a grid, rounding up, until it has one cell per query.

    The strided convolutions between the levels of a UNet do the same to the latents.

    Parameters
    ----------
    size
        Height and width of the latents.
    n_queries
        The required number of cells.

    Returns
    -------
    tuple[int, int] or None
        Height and width of the grid; None if halving does not lead to that number of cells.
    """
    height, width = size
    while height * width > n_queries:
        height, width = -(-height // 2), -(-width // 2)
    return fitting((height, width), n_queries)


def fitting(grid: Grid, n_pixels: int) -> Grid | None:
    """Return a grid if it has one cell per pixel query, otherwise None."""
    return grid if grid[0] * grid[1] == n_pixels else None


def latent_size(inputs: Mapping[str, Any]) -> Grid:
    """Return the size of unpacked latents, *shape* ``(row, channel, y, x)`` or ``(row, channel, 1, y, x)``.

    Raises
    ------
    TraceError
        If there are several frames.
    """
    shape = _latent_shape(inputs)
    if len(shape) == 5 and shape[2] != 1:
        raise TraceError(
            f"Expected latents of one image, but got {shape[2]} frames, latents of shape {shape}: register a "
            "Family that describes the frames."
        )
    return shape[-2], shape[-1]


def _latent_shape(inputs: Mapping[str, Any]) -> tuple[int, ...]:
    latents = inputs["sample"] if "sample" in inputs else inputs["hidden_states"]
    return tuple(int(size) for size in latents.shape)


def halvings(pipe: Any, inputs: Mapping[str, Any], n_pixels: int) -> Grid | None:
    """Return the grid of a model that halves its latents, or divides them into patches of 2, 4, ... pixels."""
    return halved_grid(latent_size(inputs), n_pixels)


def patches(pipe: Any, inputs: Mapping[str, Any], n_pixels: int) -> Grid | None:
    """Return the grid of a transformer that divides its latents into square patches."""
    side = int(pipe.transformer.config.patch_size)
    height, width = latent_size(inputs)
    return fitting((height // side, width // side), n_pixels)


def latents_decoded(pipe: Any, inputs: Mapping[str, Any]) -> Grid:
    """Return the size of the image that the VAE decodes; without a VAE, the size of the latents.

    Raises
    ------
    TraceError
        If the pipeline does not say how much larger than its latents the image is.
    """
    factor = _vae_factor(pipe)
    if factor is None:
        if _latent_shape(inputs)[1] not in _PIXELS:
            raise TraceError(
                f"Expected {type(pipe).__name__} to have a vae_scale_factor, the number of pixels of the image for "
                "each row of its latents, but it has none, so the size of the image is unknown: register a Family "
                "whose image_size returns it."
            )
        factor = 1  # the model works on pixels
    height, width = latent_size(inputs)
    return height * factor, width * factor


def _vae_factor(pipe: Any) -> int | None:
    for name in ("vae_scale_factor", "vae_scale_factor_spatial"):
        factor = getattr(pipe, name, None)
        if factor is not None:
            return int(factor)
    return None
