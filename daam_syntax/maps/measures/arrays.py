"""Array helpers for measures and thresholds: shapes, unit mass, and division by zero."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

_CONSTANT: Final = 1e-6


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Divide with broadcasting; the result is NaN where the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def over_pixels(values: ArrayLike) -> tuple[int, int]:
    """Return the height and width of maps. *Shape:* ``(..., y, x)``.

    Raises
    ------
    ValueError
        If there are fewer than two axes.
    """
    shape = np.shape(values)
    if len(shape) < 2:
        raise ValueError(f"Expected maps of shape (..., y, x), but got the shape {shape}.")
    return shape[-2], shape[-1]


def flat(maps: np.ndarray) -> np.ndarray:
    """Return maps of *shape* ``(..., y, x)`` with their pixels on one axis."""
    return maps.reshape(*maps.shape[:-2], maps.shape[-2] * maps.shape[-1])


def unit_mass(maps: np.ndarray) -> np.ndarray:
    """Return maps of *shape* ``(..., y, x)`` divided by their sums; NaN where a map has no mass."""
    maps = np.asarray(maps, dtype=np.float64)
    return ratio(maps, maps.sum(axis=(-2, -1), keepdims=True))


def is_constant(maps: np.ndarray) -> np.ndarray:
    """Return which maps are constant to six digits of their maximum.

    Upscaling and sums round, and the rounding errors in a constant map must not count as a pattern.

    Parameters
    ----------
    maps
        *Shape:* ``(..., y, x)``.

    Returns
    -------
    numpy.ndarray
        Boolean values. *Shape:* ``(...)``.
    """
    high, low = maps.max(axis=(-2, -1)), maps.min(axis=(-2, -1))
    return np.asarray(high - low <= _CONSTANT * np.abs(high))
