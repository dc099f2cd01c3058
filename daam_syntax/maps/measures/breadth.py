"""Breadth of one map.

Measures take non-negative maps of shape ``(..., y, x)`` and return values of shape ``(...)``. p is the map at unit
mass, and N its number of pixels.
"""

from __future__ import annotations

import numpy as np
import scipy

from daam_syntax.maps.measures.arrays import flat, is_constant, over_pixels, ratio, unit_mass
from daam_syntax.maps.measures.declaration import of_one_map


def _mass(maps: np.ndarray) -> np.ndarray:
    """Return maps at unit mass with their pixels on one axis."""
    return flat(unit_mass(maps))


@of_one_map(
    formula="-Σ p ln p / ln N",
    low=0,
    high=1,
    unit="share of the maximum",
    higher="broader",
    invariant=("scale", "pixels"),
    use="how diffuse a map is; the scale is compressed near 1",
    source="Shannon 1948",
)
def entropy(maps: np.ndarray) -> np.ndarray:
    """Entropy of the map over that of a flat map.

    It is 1 for a flat map, 0 for a single pixel, and NaN on a grid of one pixel.
    """
    mass = _mass(maps)
    return ratio(scipy.special.entr(mass).sum(axis=-1), np.log(mass.shape[-1]))


@of_one_map(
    formula="exp(-Σ p ln p) / N",
    low=0,
    high=1,
    unit="share",
    higher="broader",
    invariant=("scale", "pixels"),
    use="how much of the image a word attends to, without a threshold",
    source="Hill 1973",
)
def effective_area(maps: np.ndarray) -> np.ndarray:
    """Share of the image that a flat map of the same entropy would cover.

    This is the perplexity of the map over its number of pixels (Hill's number of order 1). It is at least 1 / N.
    """
    mass = _mass(maps)
    return np.asarray(np.exp(scipy.special.entr(mass).sum(axis=-1)) / mass.shape[-1])


@of_one_map(
    formula="Σ (2 i - N - 1) p_i / N, sorted",
    low=0,
    high=1,
    unit="share",
    higher="more concentrated",
    invariant=("scale", "pixels"),
    use="concentration, on a scale that other fields know",
    source="Gini 1912",
)
def gini(maps: np.ndarray) -> np.ndarray:
    """Gini coefficient of the pixels (0 for a flat map).

    It is 1 - 1 / N for a single pixel.
    """
    mass = np.sort(_mass(maps), axis=-1)
    n = mass.shape[-1]
    return np.asarray(mass @ (2 * np.arange(1, n + 1) - n - 1) / n)


@of_one_map(
    formula="min |A| / N with Σ_A p ≥ 0.9",
    low=0,
    high=1,
    unit="share",
    higher="broader",
    invariant=("scale", "pixels"),
    use="easy to imagine; a faint floor counts much",
    source="Hyndman 1996",
)
def area_90(maps: np.ndarray) -> np.ndarray:
    """Share of the image that holds 90% of the map's mass, strongest pixels first.

    This is a region of highest density. It covers at least 1 / N.
    """
    mass = -np.sort(-_mass(maps), axis=-1)
    # Less a rounding error, so a flat map of ten pixels needs nine of them.
    short = np.cumsum(mass, axis=-1) < 0.9 - 1e-9
    share = (short.sum(axis=-1) + 1) / mass.shape[-1]
    return np.where(np.isnan(mass[..., 0]), np.nan, share)


@of_one_map(
    formula="√(Σ p ‖x - c‖²) / diagonal",
    low=0,
    high=0.5,
    unit="diagonals of the grid",
    higher="broader",
    invariant=("scale",),
    use="scatter in space: two far spots are broad here, not in entropy",
    source="Hu 1962",
)
def spread(maps: np.ndarray) -> np.ndarray:
    """Root mean square distance of the mass from its center, over the grid's diagonal.

    This is the root of the second central moment. Unlike entropy, it distinguishes two far spots from one.
    """
    height, width = over_pixels(maps)
    mass = unit_mass(maps)
    variances = (
        _variance(mass.sum(axis=-1), np.arange(height)),
        _variance(mass.sum(axis=-2), np.arange(width)),
    )
    return np.asarray(np.sqrt(sum(variances)) / np.hypot(height, width))


def _variance(mass: np.ndarray, places: np.ndarray) -> np.ndarray:
    centered = places - (mass @ places)[..., None]
    return np.asarray((mass * centered**2).sum(axis=-1))


@of_one_map(
    formula="(N / W) Σ_ij w_ij z_i z_j / Σ z_i²",
    low=-1.1,
    high=1.1,
    unit="correlation",
    higher="smoother",
    invariant=("scale", "shift"),
    undefined="the map is constant",
    use="whether a map has structure at all; its effective sample size is far below N",
    source="Moran 1950",
)
def moran(maps: np.ndarray) -> np.ndarray:
    """Moran's I of the map (near 1 for smooth maps, near 0 for noise).

    It is the correlation of pixels with the pixels above, below, left, and right of them: z are the deviations from
    the mean, and w is 1 for neighbors. The value is about -1 / (N - 1) for noise and near -1 for checkerboards. On
    small grids it can slightly exceed 1. A map counts as constant if it is constant to six digits.
    """
    height, width = over_pixels(maps)
    constant = is_constant(maps)
    z = maps - maps.mean(axis=(-2, -1), keepdims=True)
    down = (z[..., 1:, :] * z[..., :-1, :]).sum(axis=(-2, -1))
    right = (z[..., :, 1:] * z[..., :, :-1]).sum(axis=(-2, -1))
    joins = (height - 1) * width + height * (width - 1)
    index = ratio(height * width * (down + right), joins * (z**2).sum(axis=(-2, -1)))
    return np.where(constant, np.nan, index)
