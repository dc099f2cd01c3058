"""Array helpers for measures and thresholds: shapes, unit mass, and division by zero."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.util.arguments.annotations import is_numeric, shown

_CONSTANT: Final = 1e-6


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Divide with broadcasting; the result is NaN where the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def as_maps(values: ArrayLike, argument: str, of: str) -> np.ndarray:
    """Return maps as float64 after checking that they can be heat maps.

    Parameters
    ----------
    values
        Maps. *Shape:* ``(..., y, x)``.
    argument, of
        Name of the argument and of its function, for the message.

    Raises
    ------
    ValueError
        If there are fewer than two axes, or if a value is negative or not finite.
    """
    over_pixels(values)
    given = np.asarray(values)
    maps = given.astype(np.float64, copy=False)
    if maps.size:
        low, high = given.min(), given.max()
        if not (low >= 0 and high < np.inf):  # NaN is neither
            raise ValueError(
                f"Expected non-negative, finite maps as `{argument}` of {of}, but got {_fault(maps)}; pass maps as "
                "they were recorded, or set such pixels to 0 first."
            )
    return maps


def as_masks(values: ArrayLike) -> np.ndarray:
    """Return masks as bool; refuse a heat map, since each of its nonzero pixels would count as true.

    Raises
    ------
    ValueError
        If a value is neither 0 nor 1.
    """
    over_pixels(values)
    array = np.asarray(values)
    masks = array.astype(bool)
    if not (array == masks).all():
        raise ValueError(
            f"Expected a mask of True and False, or of 1 and 0, but got values from {array.min():.3g} to "
            f"{array.max():.3g}; make a mask of a map first, with `HeatMap.mask`."
        )
    return masks


def _fault(maps: np.ndarray) -> str:
    if bad := int((~np.isfinite(maps)).sum()):
        return f"{bad} values that are NaN or infinite"
    return f"values from {maps.min():.3g} to {maps.max():.3g}"


def over_pixels(values: ArrayLike) -> tuple[int, int]:
    """Return the height and width of maps. *Shape:* ``(..., y, x)``.

    Raises
    ------
    ValueError
        If there are fewer than two axes, or the values are not numbers.
    """
    if not is_numeric(values):
        raise ValueError(f"Expected maps of shape (..., y, x), but got {shown(values)}.")
    shape = np.shape(values)
    if len(shape) < 2 or 0 in shape[-2:]:
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
    over_pixels(maps)
    maps = np.asarray(maps)
    high, low = maps.max(axis=(-2, -1)), maps.min(axis=(-2, -1))
    return np.asarray(high - low <= _CONSTANT * np.abs(high))
