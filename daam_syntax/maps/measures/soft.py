"""Overlap of maps without a threshold.

Every measure here is called with two stacks of non-negative maps of shape (..., y, x) that broadcast, the head's and
the dependent's, and gives an array of shape (...): ``cosine(head, dependent)``. What it compares (a map at unit mass,
its ranks, its centre) is prepared once per map, so that all pairs of a batch of images cost one preparation per word.

All are NaN where a map has no mass; those that need variation also where a map is constant, which is judged to six
digits, since upscaling rounds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr
from scipy.stats import rankdata

from daam_syntax.maps.measures.arrays import flat, is_constant, over_pixels, ratio

_COARSE: Final = 16


class SoftMeasure:
    """A comparison of two maps.

    Attributes
    ----------
    prepare
        Turns maps (..., y, x) into what is compared: (..., feature), or (..., y, x) on a coarser grid.
    compare
        Compares the head's prepared maps with the dependent's; gives (...).
    """

    __name__: str

    def __init__(
        self,
        prepare: Callable[[np.ndarray], np.ndarray],
        compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.prepare = prepare
        self.compare = compare
        functools.update_wrapper(self, compare)  # its name and docstring

    def __call__(self, first: ArrayLike, second: ArrayLike) -> np.ndarray:
        """Measure maps of shapes (..., y, x), broadcastable; returns shape (...)."""
        over_pixels(first)
        over_pixels(second)
        maps = (np.asarray(m, dtype=np.float64) for m in (first, second))
        return np.asarray(self.compare(*(self.prepare(m) for m in maps)))


def _of(
    prepare: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Callable[[np.ndarray, np.ndarray], np.ndarray]], SoftMeasure]:
    """Make a measure of a function that compares what `prepare` prepares."""
    return functools.partial(SoftMeasure, prepare)


def unit_mass(maps: np.ndarray) -> np.ndarray:
    """Return maps (..., y, x) divided by their sums; NaN where there is no mass."""
    maps = np.asarray(maps, dtype=np.float64)
    return ratio(maps, maps.sum(axis=(-2, -1), keepdims=True))


def _unit_mass(maps: np.ndarray) -> np.ndarray:
    return flat(unit_mass(maps))


def _unit_peak(maps: np.ndarray) -> np.ndarray:
    return flat(ratio(maps, maps.max(axis=(-2, -1), keepdims=True)))


def _unit_length(maps: np.ndarray) -> np.ndarray:
    pixels = flat(maps)
    return ratio(pixels, np.linalg.norm(pixels, axis=-1, keepdims=True))


def _root_mass(maps: np.ndarray) -> np.ndarray:
    return np.sqrt(_unit_mass(maps))


def _standardized(maps: np.ndarray) -> np.ndarray:
    """Centre maps and give them length 1, so that a product is a correlation; NaN where constant."""
    varied = np.where(is_constant(maps)[..., None, None], np.nan, maps)
    return _unit_length(varied - varied.mean(axis=(-2, -1), keepdims=True))


def _standardized_ranks(maps: np.ndarray) -> np.ndarray:
    constant = is_constant(maps)[..., None, None]
    ranks = rankdata(flat(maps), axis=-1).reshape(maps.shape)
    return _standardized(np.where(constant, 0.0, ranks))


def _centroid(maps: np.ndarray) -> np.ndarray:
    """Return centres of mass (..., 2), in lengths of the grid's diagonal."""
    height, width = over_pixels(maps)
    mass = unit_mass(maps)
    y = mass.sum(axis=-1) @ np.arange(height)
    x = mass.sum(axis=-2) @ np.arange(width)
    return np.stack([y, x], axis=-1) / np.hypot(height, width)


def _coarse_mass(maps: np.ndarray) -> np.ndarray:
    """Gather the mass of maps in at most 16 x 16 cells; nothing is lost where cells cut pixels."""
    rows, columns = (_gathering(n, min(n, _COARSE)) for n in over_pixels(maps))
    return rows @ unit_mass(maps) @ columns.T


def _gathering(n_in: int, n_out: int) -> np.ndarray:
    """Return which share of each pixel lies in each cell of one axis, shape (n_out, n_in)."""
    cells = np.arange(n_out)[:, None] * n_in / n_out
    pixels = np.arange(n_in)
    ends = np.minimum(cells + n_in / n_out, pixels + 1)
    return np.clip(ends - np.maximum(cells, pixels), 0.0, None)


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("...n,...n->...", first, second))


@_of(_unit_mass)
def soft_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Ruzicka similarity at unit mass, ``Σ min(p, q) / Σ max(p, q)`` (Ruzicka 1958), in [0, 1].

    p and q are the maps divided by their sums: 1 for maps that are equal but for a factor, 0 for maps that share no
    pixel. With total variation t it is ``(1 - t) / (1 + t)``.
    """
    shared = np.minimum(first, second).sum(axis=-1)
    return np.asarray(shared / (2.0 - shared))


@_of(_unit_peak)
def soft_iod(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of the dependent's map within the head's, ``Σ min(h, d) / Σ d``, maps at maximum 1, in [0, 1].

    Subsethood of fuzzy sets (Kosko 1986). Both sums are integrals over all relative thresholds, of |H ∩ D| and of
    |D|: this is `iod` without the choice of one.
    """
    return ratio(np.minimum(first, second).sum(axis=-1), second.sum(axis=-1))


@_of(_unit_peak)
def soft_ioh(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of the head's map within the dependent's, ``Σ min(h, d) / Σ h``; see `soft_iod`."""
    return ratio(np.minimum(first, second).sum(axis=-1), first.sum(axis=-1))


@_of(_unit_length)
def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of the angle between the maps, ``Σ h d / √(Σ h² Σ d²)``, in [0, 1] (Salton and McGill 1983).

    Two flat maps have cosine 1, wherever their small bumps are: see `pearson`.
    """
    return _product(first, second)


@_of(_standardized)
def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation over pixels, in [-1, 1] (Pearson 1895); NaN where a map is constant."""
    return _product(first, second)


@_of(_standardized_ranks)
def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the pixels' ranks, ties sharing theirs, in [-1, 1] (Spearman 1904).

    NaN where a map is constant.
    """
    return _product(first, second)


@_of(_unit_mass)
def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of the maps at unit mass, bits, in [0, 1] (Lin 1991): 0 for equal maps.

    ``H((p + q) / 2) - (H(p) + H(q)) / 2`` with H the entropy in bits. Its root is a metric.
    """
    entropies = (entr(m).sum(axis=-1) for m in ((first + second) / 2, first, second))
    mixed, of_first, of_second = entropies
    divergence = (mixed - (of_first + of_second) / 2) / np.log(2)
    return np.asarray(np.clip(divergence, 0.0, 1.0))  # rounding may leave the range


@_of(_root_mass)
def bhattacharyya(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Bhattacharyya coefficient, ``Σ √(p q)`` of the maps at unit mass, in [0, 1] (Bhattacharyya 1943)."""
    return _product(first, second)


@_of(_centroid)
def centroid_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance of the centres of mass over the grid's diagonal, in [0, 1): 0 says same centre, not same place."""
    return np.asarray(np.linalg.norm(first - second, axis=-1))


@_of(_coarse_mass)
def earth_movers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Earth mover's distance of the maps at unit mass, in [0, 1) (Rubner et al. 2000).

    The least mean distance, over the grid's diagonal, that mass must travel to turn one map into the other. Maps are
    first gathered in at most 16 x 16 cells, between whose centres mass travels. Needs the library POT.

    Raises
    ------
    ImportError
        If POT is not installed.
    """
    try:
        import ot
    except ImportError as error:
        raise ImportError(
            'Expected the library POT for "earth_movers", but it is not installed; '
            'pip install "daam-syntax[transport]".'
        ) from error
    first, second = np.broadcast_arrays(first, second)
    height, width = over_pixels(first)
    cells = np.indices((height, width)).reshape(2, -1).T.astype(float)
    cost = ot.dist(cells, metric="euclidean") / np.hypot(height, width)
    distances = [
        np.nan if np.isnan(p[0] + q[0]) else ot.emd2(p, q, cost)
        for p, q in zip(
            flat(first).reshape(-1, len(cells)), flat(second).reshape(-1, len(cells)), strict=True
        )
    ]
    return np.array(distances).reshape(first.shape[:-2])
