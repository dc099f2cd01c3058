"""Comparison with masks from other sources, such as segmentations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import ratio


def mask_iou(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Intersection over union of two masks from any source, image by image.

    Parameters
    ----------
    first, second
        Boolean masks, or masks of 0 and 1, such as a word's mask and a segmentation. *Shape:* ``(..., y, x)``, the
        same for both.

    Returns
    -------
    numpy.ndarray
        Values from 0 to 1; NaN where both masks are empty, and 0 where only one is. *Shape:* ``(...)``.

    Raises
    ------
    ValueError
        If the shapes differ, or if an argument is not a mask but, for example, a heat map.
    """
    a, b = _as_mask(first), _as_mask(second)
    if a.shape != b.shape:
        raise ValueError(
            f"Expected two masks of one shape (..., y, x), but got {a.shape} and {b.shape}; "
            "resize one of them first."
        )
    return ratio((a & b).sum(axis=(-2, -1)), (a | b).sum(axis=(-2, -1)))


def _as_mask(values: ArrayLike) -> np.ndarray:
    """Return a mask as bool; refuse a heat map, since each of its nonzero pixels would count as true."""
    array = np.asarray(values)
    mask = array.astype(bool)
    if not (array == mask).all():
        raise ValueError(
            f"Expected a mask of True and False, or of 1 and 0, but got values from {array.min():.3g} to "
            f"{array.max():.3g}; make a mask of a map first, with `HeatMap.mask`."
        )
    return mask
