"""Overlap of masks. The measures take numbers of pixels, so that masks are counted once for all of them.

H is the head's mask, D the dependent's, N the number of pixels; ``shared`` is ``|H ∩ D|``. Arguments broadcast. All
measures are NaN where either mask is empty: that is no zero overlap but no measurement, and counted as 0 it would bias
relations of function words, whose masks are often empty (the released DAAM does so).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import ratio


class PackedMasks:
    """Masks as bits, which are counted a machine word at a time.

    Parameters
    ----------
    masks
        Bool, shape (word, y, x).

    Attributes
    ----------
    areas
        Pixels of each mask, shape (word,).
    n_pixels
        Pixels of the grid.
    """

    def __init__(self, masks: np.ndarray) -> None:
        masks = np.asarray(masks, dtype=bool)
        self.n_pixels = masks.shape[-2] * masks.shape[-1]
        flat = masks.reshape(len(masks), self.n_pixels)
        packed = np.packbits(flat, axis=-1)
        packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
        self._bits = packed.view(np.uint64)
        self.areas = np.bitwise_count(self._bits).sum(axis=-1, dtype=np.int64)

    @classmethod
    def joined(cls, parts: Sequence[PackedMasks]) -> PackedMasks:
        """Return the masks of several parts, all of one size, as one."""
        whole = cls.__new__(cls)
        whole.n_pixels = parts[0].n_pixels
        whole._bits = np.concatenate([part._bits for part in parts])
        whole.areas = np.concatenate([part.areas for part in parts])
        return whole

    def shared(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Count the pixels that each mask of `first` shares with its partner in `second`.

        Parameters
        ----------
        first, second
            Rows of masks, shape (pair,) each.

        Returns
        -------
        numpy.ndarray
            Shape (pair,).
        """
        at_once = max(
            1, 2**18 // max(1, self._bits.shape[1])
        )  # two megabytes: they stay in the cache
        counts = [
            np.bitwise_count(
                self._bits[first[i : i + at_once]] & self._bits[second[i : i + at_once]]
            ).sum(axis=-1, dtype=np.int64)
            for i in range(0, len(first), at_once)
        ]
        return np.concatenate(counts) if counts else np.zeros(0, np.int64)


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
    n = len(masks)
    first, second = np.indices((n, n)).reshape(2, -1)
    return PackedMasks(masks).shared(first, second).reshape(n, n).astype(np.float64)


def iou(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over union, ``|H ∩ D| / |H ∪ D|``, in [0, 1]; symmetric (Jaccard 1912)."""
    head, dependent = np.asarray(head_area, float), np.asarray(dependent_area, float)
    value = ratio(shared, head + dependent - np.asarray(shared, float))
    return np.where((head > 0) & (dependent > 0), value, np.nan)


def iod(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the dependent, ``|H ∩ D| / |D|``, in [0, 1] (Tang et al. 2023).

    Where the masks overlap, IoD / IoH is exactly ``|H| / |D|``: read it beside `log_area_ratio`.
    """
    return np.where(np.asarray(head_area) > 0, ratio(shared, dependent_area), np.nan)


def ioh(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the head, ``|H ∩ D| / |H|``, in [0, 1] (Tang et al. 2023); see `iod`."""
    return np.where(np.asarray(dependent_area) > 0, ratio(shared, head_area), np.nan)


def dice(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Shared part of the mean area, ``2 |H ∩ D| / (|H| + |D|)``, in [0, 1]; symmetric (Dice 1945).

    It is ``2 IoU / (1 + IoU)``: the same order of pairs, another scale.
    """
    overlap = iou(shared, head_area, dependent_area)
    return 2 * overlap / (1 + overlap)


def lift(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: ArrayLike
) -> np.ndarray:
    """Overlap against chance, ``N |H ∩ D| / (|H| |D|)``: 1 for masks placed independently.

    Symmetric, in ``[0, N / max(|H|, |D|)]``; known from association rules (Brin et al. 1997).
    """
    product = np.asarray(head_area, float) * np.asarray(dependent_area, float)
    return ratio(np.asarray(shared, float) * n_pixels, product)


def phi(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: ArrayLike
) -> np.ndarray:
    """Correlation of the masks, ``(N |H ∩ D| - |H| |D|) / √(|H| (N - |H|) |D| (N - |D|))``, in [-1, 1].

    Symmetric; 0 for masks placed independently; Pearson's correlation of the masks as zeros and ones (Yule 1912).
    NaN also where a mask covers everything.
    """
    shared, head, dependent, n = (
        np.asarray(a, float) for a in (shared, head_area, dependent_area, n_pixels)
    )
    spread = np.sqrt(head * (n - head)) * np.sqrt(dependent * (n - dependent))
    return ratio(n * shared - head * dependent, spread)


def log_area_ratio(head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Natural logarithm of ``|H| / |D|``: 0 for equal areas, its sign turns with the roles."""
    areas = ratio(head_area, dependent_area)
    return np.log(areas, out=np.full(areas.shape, np.nan), where=areas > 0)


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
        If the shapes differ, or one is no mask but a map, for instance.
    """
    a, b = _as_mask(first), _as_mask(second)
    if a.shape != b.shape:
        raise ValueError(
            f"Expected two masks of one shape (..., y, x), but got {a.shape} and {b.shape}; "
            "resize one of them first."
        )
    return ratio((a & b).sum(axis=(-2, -1)), (a | b).sum(axis=(-2, -1)))


def _as_mask(values: ArrayLike) -> np.ndarray:
    """Return a mask as bool; a map is none, although each of its pixels would be true."""
    array = np.asarray(values)
    mask = array.astype(bool)
    if not (array == mask).all():
        raise ValueError(
            f"Expected a mask of True and False, or of 1 and 0, but got values from {array.min():.3g} to "
            f"{array.max():.3g}; make a mask of a map first, with `HeatMap.mask`."
        )
    return mask
