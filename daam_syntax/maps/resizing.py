"""Resample heat maps to finer and coarser grids."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from daam_syntax.util.arguments.checks import checked, whole

_A: Final = -0.75
"""Parameter of Keys' kernel: that of torch's bicubic interpolation, which the released DAAM uses."""


@checked(size=whole(1, 65_536))
def bicubic(maps: np.ndarray, size: tuple[int, int], *, is_signed: bool = False) -> np.ndarray:
    """Resample heat maps by cubic convolution (Keys 1981, with a = -0.75), then clamp them at 0.

    Pixel centers lie at half-integers, borders are repeated, and shrinking does not smooth. The result is that of
    ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)``.

    Parameters
    ----------
    maps
        *Shape:* ``(..., y, x)``.
    size
        New height and width, in pixels.
    is_signed
        Whether values may be negative, and are not clamped.

    Returns
    -------
    numpy.ndarray
        Values in the precision of `maps`, non-negative unless `is_signed`. *Shape:* ``(..., height, width)``.
    """
    maps = np.asarray(maps)
    if maps.ndim < 2 or 0 in maps.shape[-2:]:
        raise ValueError(f"Expected maps of shape (..., y, x), but got the shape {maps.shape}.")
    dtype = maps.dtype if np.issubdtype(maps.dtype, np.floating) else np.dtype(np.float64)
    if maps.shape[-2:] == size:
        return maps.astype(dtype) if is_signed else np.maximum(maps, 0.0, dtype=dtype)
    height, width = size
    wide = np.empty((*maps.shape[:-1], width), dtype)
    for band, used, weights in _bands(maps.shape[-1], width, dtype):
        np.matmul(maps[..., used], weights.T, out=wide[..., band])
    # NumPy compares with a row several times faster than with a number.
    zeros = np.zeros(width, dtype)
    resized = np.empty((*maps.shape[:-2], *size), dtype)
    for band, used, weights in _bands(maps.shape[-2], height, dtype):
        part = resized[..., band, :]
        np.matmul(weights, wide[..., used, :], out=part)
        if not is_signed:
            np.maximum(part, zeros, out=part)
    return resized


def averaged(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Average a heat map over the cells of a coarser grid, which preserves its mean.

    Parameters
    ----------
    values
        *Shape:* ``(y, x)``.
    grid
        Rows and columns of the coarser grid.

    Returns
    -------
    numpy.ndarray
        Cell averages, float32. *Shape:* `grid`.
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((grid[1], grid[0]), Image.Resampling.BOX))


_BAND: Final = 32
"""Rows, or columns, that are computed together."""


@cache
def _bands(n_in: int, n_out: int, dtype: np.dtype) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """Split the resampling matrix of one axis into bands of new positions.

    A band depends on few old positions and stays in the processor's cache. Both together make bands several times
    faster than one matrix product.

    Returns
    -------
    tuple
        For each band its new positions, the old positions that contribute, and the weights.
        *Shape of the weights:* ``(new, old)``.
    """
    whole = _weights(n_in, n_out).astype(dtype)
    bands = []
    for first in range(0, n_out, _BAND):
        band = slice(first, first + _BAND)
        taps = np.flatnonzero(whole[band].any(axis=0))
        used = slice(taps[0], taps[-1] + 1)
        bands.append((band, used, np.ascontiguousarray(whole[band, used])))
    return tuple(bands)


def _weights(n_in: int, n_out: int) -> np.ndarray:
    """Return the matrix that resamples one axis; each row sums to 1. *Shape:* ``(n_out, n_in)``."""
    if n_in == n_out:
        return np.eye(n_in)
    centers = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    first = np.floor(centers).astype(int) - 1
    matrix = np.zeros((n_out, n_in))
    for tap in range(4):
        source = first + tap
        weight = _keys(np.abs(centers - source))
        np.add.at(matrix, (np.arange(n_out), source.clip(0, n_in - 1)), weight)
    return matrix


def _keys(distance: np.ndarray) -> np.ndarray:
    """Evaluate Keys' kernel at distances from 0 to 2."""
    d = distance
    near = ((_A + 2) * d - (_A + 3)) * d * d + 1
    far = ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
