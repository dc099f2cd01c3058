"""Maps on finer grids, and on coarser ones."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from PIL import Image

_A: Final = -0.75
"""Keys' parameter, as in torch's bicubic interpolation, which the released DAAM uses."""


def bicubic(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample maps by cubic convolution (Keys 1981, with a = -0.75), then clamp at 0.

    Pixel centres are at half-integers, borders are repeated, and nothing is smoothed when shrinking:
    ``torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`` gives the same.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    size
        New height and width, pixels.

    Returns
    -------
    numpy.ndarray
        Shape (..., height, width), non-negative, in the precision of `maps`.
    """
    maps = np.asarray(maps)
    dtype = maps.dtype if np.issubdtype(maps.dtype, np.floating) else np.dtype(np.float64)
    if maps.shape[-2:] == size:
        return np.maximum(maps, 0.0, dtype=dtype)
    height, width = size
    wide = np.empty((*maps.shape[:-1], width), dtype)
    for band, used, weights in _bands(maps.shape[-1], width, dtype):
        np.matmul(maps[..., used], weights.T, out=wide[..., band])
    zeros = np.zeros(
        width, dtype
    )  # NumPy compares with a row several times faster than with a number
    resized = np.empty((*maps.shape[:-2], *size), dtype)
    for band, used, weights in _bands(maps.shape[-2], height, dtype):
        part = resized[..., band, :]
        np.matmul(weights, wide[..., used, :], out=part)
        np.maximum(part, zeros, out=part)
    return resized


def averaged(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Average a map, shape (y, x), over the areas of a coarser grid: its mean stays what it was."""
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize((grid[1], grid[0]), Image.Resampling.BOX))


_BAND: Final = 32
"""Rows, or columns, that are made at once."""


@cache
def _bands(n_in: int, n_out: int, dtype: np.dtype) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """Return bands of an axis' new positions, the old ones that each is made of, and the weights, shape (new, old).

    Few old positions make up a band, and a band stays in the cache: together that is several times faster than one
    product.
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
    """Return the matrix that resamples one axis, shape (n_out, n_in); each row sums to 1."""
    if n_in == n_out:
        return np.eye(n_in)
    centres = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    first = np.floor(centres).astype(int) - 1
    matrix = np.zeros((n_out, n_in))
    for tap in range(4):
        source = first + tap
        weight = _keys(np.abs(centres - source))
        np.add.at(matrix, (np.arange(n_out), source.clip(0, n_in - 1)), weight)
    return matrix


def _keys(d: np.ndarray) -> np.ndarray:
    """Keys' kernel at distance `d` (0 to 2)."""
    near = ((_A + 2) * d - (_A + 3)) * d * d + 1
    far = ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
