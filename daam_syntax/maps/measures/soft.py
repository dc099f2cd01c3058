"""Overlap and distance of two maps without a threshold.

Measures take two stacks of non-negative maps whose shapes ``(..., y, x)`` broadcast, the head's and the dependent's, as
in ``cosine(head, dependent)``, and return values of shape ``(...)``. What a measure compares (a map at unit mass, its
ranks, its center) is prepared once per map, so all pairs of a batch of images need one preparation per word.

h and d are the maps, p and q the maps divided by their sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import scipy

from daam_syntax.maps.measures.arrays import flat, is_constant, over_pixels, ratio, unit_mass
from daam_syntax.maps.measures.declaration import of_maps
from daam_syntax.util.extras import install_hint

_MOST_CELLS: Final = 256


def _unit_mass(maps: np.ndarray) -> np.ndarray:
    return flat(unit_mass(maps))


def _unit_peak(maps: np.ndarray) -> np.ndarray:
    """Return the pixels of maps with maximum 1, and their sum as one more value, added up once per map."""
    pixels = flat(ratio(maps, maps.max(axis=(-2, -1), keepdims=True)))
    return np.append(pixels, pixels.sum(axis=-1, keepdims=True), axis=-1)


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the sum of the smaller values of two results of `_unit_peak`."""
    return np.asarray(np.minimum(first[..., :-1], second[..., :-1]).sum(axis=-1))


def _unit_length(maps: np.ndarray) -> np.ndarray:
    pixels = flat(maps)
    return ratio(pixels, np.linalg.norm(pixels, axis=-1, keepdims=True))


def _root_mass(maps: np.ndarray) -> np.ndarray:
    return np.sqrt(_unit_mass(maps))


def _standardized(maps: np.ndarray) -> np.ndarray:
    """Center maps and scale them to length 1, so a product is a correlation; NaN where a map is constant."""
    varied = np.where(is_constant(maps)[..., None, None], np.nan, maps)
    return _unit_length(varied - varied.mean(axis=(-2, -1), keepdims=True))


def _standardized_ranks(maps: np.ndarray) -> np.ndarray:
    constant = is_constant(maps)[..., None, None]
    ranks = scipy.stats.rankdata(flat(maps), axis=-1).reshape(maps.shape)
    return _standardized(np.where(constant, 0.0, ranks))


def _centroid(maps: np.ndarray) -> np.ndarray:
    """Return centers of mass, y and x, in units of the grid's diagonal. *Shape:* ``(..., 2)``."""
    return _center_of_mass(maps) / np.hypot(*over_pixels(maps))


def _relative_centroid(maps: np.ndarray) -> np.ndarray:
    """Return centers of mass, y in units of the height and x in units of the width. *Shape:* ``(..., 2)``."""
    return _center_of_mass(maps) / over_pixels(maps)


def _center_of_mass(maps: np.ndarray) -> np.ndarray:
    """Return centers of mass, y and x, in pixels. *Shape:* ``(..., 2)``."""
    height, width = over_pixels(maps)
    mass = unit_mass(maps)
    y = mass.sum(axis=-1) @ np.arange(height)
    x = mass.sum(axis=-2) @ np.arange(width)
    return np.stack([y, x], axis=-1)


def _cells(maps: np.ndarray) -> np.ndarray:
    """Gather maps in at most 256 cells, each with its mass and the mass's center in units of the grid's diagonal.

    A pixel that cells divide is shared among them. An empty cell is at 0.

    Returns
    -------
    numpy.ndarray
        Mass, y, and x of each cell. *Shape:* ``(..., 3, cell)``.
    """
    height, width = over_pixels(maps)
    rows, columns = (
        _gathering(*sizes)
        for sizes in zip((height, width), _cell_counts(height, width), strict=True)
    )
    mass = unit_mass(maps)
    y, x = np.indices((height, width)) / np.hypot(height, width)
    sums = [flat(rows @ values @ columns.T) for values in (mass, mass * y, mass * x)]
    centers = [np.divide(s, sums[0], out=0 * s, where=sums[0] > 0) for s in sums[1:]]
    return np.stack([sums[0], *centers], axis=-2)


def _cell_counts(height: int, width: int) -> tuple[int, int]:
    """Return the numbers of rows and columns of at most 256 cells that are as square as possible."""
    side = max(1.0, np.sqrt(height * width / _MOST_CELLS))
    rows = int(np.clip(height / side, 1, _MOST_CELLS))
    return rows, min(width, _MOST_CELLS // rows)


def _gathering(n_in: int, n_out: int) -> np.ndarray:
    """Return the share of each pixel that lies in each cell of one axis. *Shape:* ``(n_out, n_in)``."""
    cells = np.arange(n_out)[:, None] * n_in / n_out
    pixels = np.arange(n_in)
    ends = np.minimum(cells + n_in / n_out, pixels + 1)
    return np.clip(ends - np.maximum(cells, pixels), 0.0, None)


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("...n,...n->...", first, second))


@of_maps(
    _unit_peak,
    formula="Σ min(h, d) / Σ max(h, d), both with maximum 1",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    invariant=("scale", "pixels"),
    use="IoU over all relative thresholds at once; high for any two broad maps",
    source="Ruzicka 1958",
)
def soft_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of the maps, with both maps scaled to maximum 1.

    Both sums are integrals over all relative thresholds, of |H ∩ D| and of |H ∪ D|, so this is `iou` without the
    choice of a threshold. With `soft_iod` and `soft_ioh`, ``1 / IoU = 1 / IoD + 1 / IoH - 1``, as for masks.
    """
    shared = _shared(first, second)
    return ratio(shared, first[..., -1] + second[..., -1] - shared)


@of_maps(
    _unit_peak,
    formula="Σ min(h, d) / Σ d, both with maximum 1",
    low=0,
    high=1,
    unit="share",
    higher="the head covers more of the dependent",
    mirror="soft_ioh",
    invariant=("scale", "pixels"),
    use="IoD over all relative thresholds at once; rises with the head's breadth",
    source="Kosko 1986",
)
def soft_iod(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of the dependent's map within the head's, with both maps scaled to maximum 1.

    This is the subsethood of fuzzy sets. Both sums are integrals over all relative thresholds, of |H ∩ D| and of |D|,
    so this is `iod` without the choice of a threshold.
    """
    return ratio(_shared(first, second), second[..., -1])


@of_maps(
    _unit_peak,
    formula="Σ min(h, d) / Σ h, both with maximum 1",
    low=0,
    high=1,
    unit="share",
    higher="the dependent covers more of the head",
    mirror="soft_iod",
    invariant=("scale", "pixels"),
    use="IoH over all relative thresholds at once; rises with the dependent's breadth",
    source="Kosko 1986",
)
def soft_ioh(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of the head's map within the dependent's, with both maps scaled to maximum 1.

    See `soft_iod`.
    """
    return ratio(_shared(first, second), first[..., -1])


@of_maps(
    _unit_length,
    formula="Σ h d / √(Σ h² Σ d²)",
    low=0,
    high=1,
    unit="cosine",
    higher="more alike",
    invariant=("scale", "pixels"),
    use="where peaks should count most; high for any two flat maps",
    source="Salton and McGill 1983",
)
def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of the angle between the maps.

    Two flat maps have cosine 1, regardless of the position of their small bumps; compare `pearson`.
    """
    return _product(first, second)


@of_maps(
    _standardized,
    formula="Σ (h - h̄)(d - d̄) / √(Σ (h - h̄)² Σ (d - d̄)²)",
    low=-1,
    high=1,
    unit="correlation",
    higher="more alike",
    chance=0,
    undefined="a map is constant",
    invariant=("scale", "shift", "pixels"),
    use="where maps lie on an even floor, which it ignores",
    source="Pearson 1895",
)
def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the maps over pixels.

    A map counts as constant if it is constant to six digits, since upscaling rounds.
    """
    return _product(first, second)


@of_maps(
    _standardized_ranks,
    formula="Pearson's of the ranks",
    low=-1,
    high=1,
    unit="correlation",
    higher="more alike",
    chance=0,
    undefined="a map is constant",
    invariant=("scale", "shift", "pixels"),
    use="where a few strong pixels should not decide; the background counts fully",
    source="Spearman 1904",
)
def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of the maps over pixels.

    Ties share their rank. A map counts as constant if it is constant to six digits, since upscaling rounds.
    """
    return _product(first, second)


@of_maps(
    _unit_mass,
    formula="H((p + q) / 2) - (H(p) + H(q)) / 2, in bits",
    low=0,
    high=1,
    unit="bits",
    higher="farther apart; 0 for equal maps",
    invariant=("scale", "pixels"),
    use="a distance in information; 1 where maps share no pixel",
    source="Lin 1991",
)
def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of the maps at unit mass, in bits (0 for equal maps)."""
    entropies = (scipy.special.entr(m).sum(axis=-1) for m in ((first + second) / 2, first, second))
    mixed, of_first, of_second = entropies
    divergence = (mixed - (of_first + of_second) / 2) / np.log(2)
    return np.asarray(np.clip(divergence, 0.0, 1.0))  # rounding may leave the range


@of_maps(
    _root_mass,
    formula="Σ √(p q)",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    invariant=("scale", "pixels"),
    use="overlap of maps at unit mass; faint overlap counts much",
    source="Bhattacharyya 1943",
)
def bhattacharyya(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Bhattacharyya coefficient of the maps at unit mass."""
    return _product(first, second)


@of_maps(
    _centroid,
    formula="‖c(h) - c(d)‖ / diagonal",
    low=0,
    high=1,
    unit="diagonals of the grid",
    higher="farther apart",
    invariant=("scale",),
    use="layout; the center of two far spots lies between them; broad maps have nearer centers",
    source="-",
)
def centroid_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance of the maps' centers of mass over the grid's diagonal.

    It is below 1. A distance of 0 means the same center, not the same place.
    """
    return np.asarray(np.linalg.norm(first - second, axis=-1))


@of_maps(
    _relative_centroid,
    formula="x(d) - x(h), of the centers of mass",
    low=-1,
    high=1,
    unit="widths of the image",
    higher="the dependent is farther to the right of the head",
    mirror_sign=-1,
    chance=0,
    invariant=("scale",),
    use="left of, right of; broad maps have centers near the middle, so their offsets are small",
    source="-",
)
def offset_x(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Horizontal offset from the head's center of mass to the dependent's (positive: to the right).

    It is the x of the second map minus the x of the first, in widths of the image. Negative values mean that the
    dependent is to the left of the head. Exchanging the maps changes the sign.
    """
    return np.asarray(second[..., 1] - first[..., 1])


@of_maps(
    _relative_centroid,
    formula="y(d) - y(h), of the centers of mass",
    low=-1,
    high=1,
    unit="heights of the image",
    higher="the dependent is farther below the head",
    mirror_sign=-1,
    chance=0,
    invariant=("scale",),
    use="above, below; broad maps have centers near the middle, so their offsets are small",
    source="-",
)
def offset_y(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Vertical offset from the head's center of mass to the dependent's (positive: below).

    It is the y of the second map minus the y of the first, in heights of the image, with y counted from the top.
    Negative values mean that the dependent is above the head. Exchanging the maps changes the sign.
    """
    return np.asarray(second[..., 0] - first[..., 0])


@of_maps(
    _cells,
    formula="min Σ f_ij δ_ij / diagonal, on at most 256 cells",
    low=0,
    high=1,
    unit="diagonals of the grid",
    higher="farther apart",
    invariant=("scale",),
    use="how far apart maps are that do not overlap; slow, needs POT",
    source="Rubner et al. 2000",
)
def earth_movers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Earth mover's distance of the maps at unit mass over the grid's diagonal.

    It is the least mean distance that mass must travel to turn one map into the other. It is below 1, and at least
    `centroid_distance`. On a grid of more than 256 pixels, each map is first gathered in at most 256 cells, and the
    mass of a cell travels from its own center of mass. This moves no centroid, so the bound holds on every grid. The
    error is at most the mean distance of the mass from the centers of its cells, summed over the two maps.

    Raises
    ------
    ImportError
        If the library POT is not installed.
    """
    try:
        import ot
    except ImportError as error:
        raise ImportError(
            f'Expected the library POT for "earth_movers", but it is not installed; run {install_hint("transport")}.'
        ) from error
    first, second = np.broadcast_arrays(first, second)
    shape = first.shape[:-2]
    pairs = zip(
        first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *first.shape[-2:]), strict=True
    )
    distances = [
        np.nan if np.isnan(p[0, 0] + q[0, 0]) else _least_cost(ot.emd2, p, q) for p, q in pairs
    ]
    return np.array(distances).reshape(shape)


def _least_cost(transport: Callable[..., float], first: np.ndarray, second: np.ndarray) -> float:
    """Return the least mean distance between the masses of cells. *Shape:* ``(3, cell)`` each."""
    (a, *places_a), (b, *places_b) = (cells[:, cells[0] > 0] for cells in (first, second))
    cost = scipy.spatial.distance.cdist(np.transpose(places_a), np.transpose(places_b))
    return float(transport(np.ascontiguousarray(a), np.ascontiguousarray(b), cost))
