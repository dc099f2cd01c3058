"""Measures of overlap between masks and between maps: pure functions of arrays.

The binary measures take counts of pixels, so that one matrix product serves all pairs of an image. H is
the head's mask, D the dependent's, N the number of pixels. All are NaN where a needed area is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def intersections(masks: np.ndarray) -> np.ndarray:
    """Count the pixels that each two masks share.

    Parameters
    ----------
    masks
        Bool, shape (word, y, x).

    Returns
    -------
    numpy.ndarray
        Shape (word, word); the diagonal holds the areas.
    """
    flat = np.asarray(masks)
    flat = flat.reshape(len(flat), flat.shape[-2] * flat.shape[-1])
    # Products of floats are much faster than of integers, and 32 bits count exactly up to 2**24.
    flat = flat.astype(np.float32 if flat.shape[1] <= 2**24 else np.float64)
    return np.asarray(flat @ flat.T, dtype=np.float64)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def iou(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over union, ``|H & D| / |H | D|``, in [0, 1]; NaN where either mask is empty.

    An empty mask is no zero overlap but no measurement: counted as 0 it would bias relations of function
    words, whose masks are often empty (the released DAAM does so).
    """
    shared, head, dependent = (np.asarray(a, float) for a in (shared, head_area, dependent_area))
    value = _ratio(shared, head + dependent - shared)
    return np.where((head > 0) & (dependent > 0), value, np.nan)


def iod(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the dependent, ``|H & D| / |D|`` (Tang et al. 2023), in [0, 1].

    NaN where either mask is empty. Where the masks overlap, IoD / IoH is exactly |H| / |D|: read it
    beside `log_area_ratio`.
    """
    return np.where(np.asarray(head_area) > 0, _ratio(shared, dependent_area), np.nan)


def ioh(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the head, ``|H & D| / |H|`` (Tang et al. 2023), in [0, 1]; see `iod`."""
    return np.where(np.asarray(dependent_area) > 0, _ratio(shared, head_area), np.nan)


def lift(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: int
) -> np.ndarray:
    """Overlap against chance, ``N |H & D| / (|H| |D|)``: 1 for masks placed independently.

    Symmetric, in [0, N / max(|H|, |D|)]; NaN where either mask is empty. Known from association rules
    (Brin et al. 1997).
    """
    product = np.asarray(head_area, float) * np.asarray(dependent_area, float)
    return _ratio(np.asarray(shared, float) * n_pixels, product)


def log_area_ratio(head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Natural logarithm of |H| / |D|: 0 for equal areas; NaN where either mask is empty."""
    ratio = _ratio(head_area, dependent_area)
    return np.log(ratio, out=np.full(ratio.shape, np.nan), where=ratio > 0)


def soft_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Overlap of two maps without a threshold: Ruzicka similarity of the maps scaled to unit mass.

    ``sum(min(p, q)) / sum(max(p, q))`` with p and q the maps divided by their sums: 1 for maps that are equal
    but for a factor, 0 for maps that share no pixel. With total variation t it is ``(1 - t) / (1 + t)``.
    Ruzicka (1958).

    Parameters
    ----------
    first, second
        Non-negative, shapes (..., y, x), broadcastable.

    Returns
    -------
    numpy.ndarray
        Shape (...), in [0, 1]; NaN where a map has no mass.
    """
    p, q = (_unit_mass(np.asarray(m, dtype=np.float64)) for m in (first, second))
    shared = np.minimum(p, q).sum(axis=(-2, -1))
    return np.asarray(shared / (2.0 - shared))


def _unit_mass(maps: np.ndarray) -> np.ndarray:
    return _ratio(maps, np.broadcast_to(maps.sum(axis=(-2, -1), keepdims=True), maps.shape))


def mask_iou(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Intersection over union of anybody's masks, image by image.

    Parameters
    ----------
    first, second
        Bool (or 0 and 1), same shape (..., y, x): a word's mask and a segmentation, for instance.

    Returns
    -------
    numpy.ndarray
        Shape (...), in [0, 1]; NaN where both are empty, 0 where only one is.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(
            f"Expected two masks of one shape (..., y, x), but got {a.shape} and {b.shape}; "
            "resize one of them first."
        )
    return _ratio((a & b).sum(axis=(-2, -1)), (a | b).sum(axis=(-2, -1)))
