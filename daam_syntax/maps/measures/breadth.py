"""How widely one map spreads.

Every measure takes non-negative maps of shape (..., y, x) and gives shape (...). All are NaN where a map has no mass,
and none changes when a map is multiplied by a factor. p is the map at unit mass, N its number of pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from daam_syntax.maps.measures.arrays import flat, is_constant, over_pixels, ratio
from daam_syntax.maps.measures.soft import unit_mass


def _mass(maps: ArrayLike) -> np.ndarray:
    """Return maps at unit mass, pixels in one axis."""
    over_pixels(maps)
    return flat(unit_mass(np.asarray(maps, dtype=np.float64)))


def entropy(maps: ArrayLike) -> np.ndarray:
    """Normalised entropy, ``-Σ p ln p / ln N``, in [0, 1] (Shannon 1948): 1 for a flat map, 0 for one pixel.

    NaN also on a grid of one pixel.
    """
    mass = _mass(maps)
    return ratio(entr(mass).sum(axis=-1), np.log(mass.shape[-1]))


def effective_area(maps: ArrayLike) -> np.ndarray:
    """Perplexity over the number of pixels, ``exp(-Σ p ln p) / N``, in [1 / N, 1].

    The share of the image that a flat map of the same entropy would cover: Hill's (1973) number of order 1.
    """
    mass = _mass(maps)
    return np.asarray(np.exp(entr(mass).sum(axis=-1)) / mass.shape[-1])


def gini(maps: ArrayLike) -> np.ndarray:
    """Inequality of the pixels, ``Σ (2 i - N - 1) p_i / N`` over sorted pixels, in [0, 1 - 1 / N] (Gini 1912).

    0 for a flat map.
    """
    mass = np.sort(_mass(maps), axis=-1)
    n = mass.shape[-1]
    return np.asarray(mass @ (2 * np.arange(1, n + 1) - n - 1) / n)


def area_90(maps: ArrayLike) -> np.ndarray:
    """Share of the pixels that hold 90 % of the mass, taken from the strongest down, in [1 / N, 1].

    A region of highest density (Hyndman 1996).
    """
    mass = -np.sort(-_mass(maps), axis=-1)
    # Less a rounding error, so that a flat map of ten pixels needs nine of them.
    short = np.cumsum(mass, axis=-1) < 0.9 - 1e-9
    share = (short.sum(axis=-1) + 1) / mass.shape[-1]
    return np.where(np.isnan(mass[..., 0]), np.nan, share)


def spread(maps: ArrayLike) -> np.ndarray:
    """Root mean square distance of the mass from its centre, over the grid's diagonal, in [0, 1/2].

    The root of the second central moment (Hu 1962): unlike entropy it tells two far spots from one.
    """
    height, width = over_pixels(maps)
    mass = unit_mass(np.asarray(maps, dtype=np.float64))
    variances = (
        _variance(mass.sum(axis=-1), np.arange(height)),
        _variance(mass.sum(axis=-2), np.arange(width)),
    )
    return np.asarray(np.sqrt(sum(variances)) / np.hypot(height, width))


def _variance(mass: np.ndarray, places: np.ndarray) -> np.ndarray:
    centred = places - (mass @ places)[..., None]
    return np.asarray((mass * centred**2).sum(axis=-1))


def moran(maps: ArrayLike) -> np.ndarray:
    """Moran's I: correlation of pixels with those above, below, left and right of them (Moran 1950).

    ``(N / W) Σ_ij w_ij z_i z_j / Σ z_i²``, z the deviations from the mean and w 1 for neighbours: near 1 for smooth
    maps, about -1 / (N - 1) for noise, near -1 for checkerboards; small grids may pass 1 a little. NaN where a map is
    constant (to six digits).
    """
    over_pixels(maps)
    values = np.asarray(maps, dtype=np.float64)
    height, width = values.shape[-2:]
    constant = is_constant(values)
    z = values - values.mean(axis=(-2, -1), keepdims=True)
    down = (z[..., 1:, :] * z[..., :-1, :]).sum(axis=(-2, -1))
    right = (z[..., :, 1:] * z[..., :, :-1]).sum(axis=(-2, -1))
    joins = (height - 1) * width + height * (width - 1)
    index = ratio(height * width * (down + right), joins * (z**2).sum(axis=(-2, -1)))
    return np.where(constant, np.nan, index)
