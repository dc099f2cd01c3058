"""What measures and thresholds share: shapes, and division that knows what is undefined."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

_CONSTANT: Final = 1e-6


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Divide with broadcasting; NaN wherever the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def over_pixels(values: ArrayLike) -> tuple[int, int]:
    """Return height and width of maps of shape (..., y, x).

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
    """Return maps (..., y, x) with their pixels in one axis."""
    return maps.reshape(*maps.shape[:-2], maps.shape[-2] * maps.shape[-1])


def is_constant(maps: np.ndarray) -> np.ndarray:
    """Return which maps (..., y, x) are constant, shape (...).

    That is judged to six digits of the maximum: upscaling and sums round, and what is left of a constant map must not
    pass for a pattern.
    """
    high, low = maps.max(axis=(-2, -1)), maps.min(axis=(-2, -1))
    return np.asarray(high - low <= _CONSTANT * np.abs(high))
