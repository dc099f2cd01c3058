"""Comparison with masks from other sources, such as segmentations.

Measures take non-negative maps and boolean masks whose shapes ``(..., y, x)`` broadcast, so one mask can be compared
with the maps of many words, and return values of shape ``(...)``. They are NaN where a map has no mass or a mask is
empty: a word cannot be found where there is nothing.

h is the map, M the mask, N the number of pixels, and H(t) the pixels of the map above t times its maximum.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import as_masks, ratio
from daam_syntax.maps.measures.declaration import of_maps_and_masks, of_two_masks


@of_two_masks(
    formula="|A ∩ B| / |A ∪ B|",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    undefined="both masks are empty",
    zero_mass=0,
    use="one mask against another; depends on the threshold rule",
    source="Jaccard 1912",
)
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
    a, b = as_masks(first), as_masks(second)
    if a.shape != b.shape:
        raise ValueError(
            f"Expected two masks of one shape (..., y, x), but got {a.shape} and {b.shape}; "
            "resize one of them first."
        )
    return ratio((a & b).sum(axis=(-2, -1)), (a | b).sum(axis=(-2, -1)))


@of_maps_and_masks(
    formula="share of argmax h that is in M",
    low=0,
    high=1,
    unit="share",
    higher="the strongest pixel is in the mask",
    invariant=("scale", "shift", "pixels"),
    use="hit or miss of the strongest pixel; by chance the mask's area; ignores the rest of the map",
    source="Zhang et al. 2016",
)
def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether the map's strongest pixel is in the mask (1 is a hit, 0 a miss).

    If several pixels are strongest, it is the share of them in the mask, which is the chance of a hit for one of them
    at random. For a flat map it is the mask's area.
    """
    strongest = maps == maps.max(axis=-1, keepdims=True)
    return ratio((strongest & masks).sum(axis=-1), strongest.sum(axis=-1))


@of_maps_and_masks(
    formula="P(h(x) > h(y)) + P(h(x) = h(y)) / 2, x in M, y outside",
    low=0,
    high=1,
    unit="probability",
    higher="higher values in the mask than outside",
    chance=0.5,
    invariant=("scale", "shift", "pixels"),
    undefined="a map has no mass, a mask is empty, or a mask covers everything",
    use="ranking over all thresholds that masks of any area leave at 0.5; lenient where the mask is small",
    source="Hanley and McNeil 1982",
)
def auroc(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Area under the receiver operating characteristic (0.5 is chance).

    It is the probability that a random pixel of the mask has a higher value than a random pixel outside. Ties count
    half, so a flat map has 0.5.
    """
    inside = masks.sum(axis=-1)
    ranks = np.where(masks, scipy.stats.rankdata(maps, axis=-1), 0.0).sum(axis=-1)
    wins = ranks - inside * (inside + 1) / 2
    return ratio(wins, inside * (masks.shape[-1] - inside))


@of_maps_and_masks(
    formula="Σ_k (R_k - R_(k-1)) P_k over distinct values",
    low=0,
    high=1,
    unit="share",
    higher="the mask's pixels come first",
    invariant=("scale", "shift", "pixels"),
    use="ranking where the mask is small; by chance about the mask's area, so report the area beside it",
    source="Manning et al. 2008",
)
def average_precision(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Average precision of the pixels, strongest first.

    P_k and R_k are precision and recall of the pixels with at least the k-th distinct value. Nothing is interpolated.
    Pixels of equal value enter together, so a flat map has the mask's area.
    """
    _, hits, last = _ranked(maps, masks)
    found = np.cumsum(hits, axis=-1)
    precision = found / np.arange(1, hits.shape[-1] + 1)
    return ratio((hits * np.take_along_axis(precision, last, axis=-1)).sum(axis=-1), found[..., -1])


@of_maps_and_masks(
    formula="∫ |H(t) ∩ M| / |H(t) ∪ M| dt, t from 0 to 1",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    invariant=("scale", "pixels"),
    use="IoU without the choice of a threshold; depends on the areas",
    source="-",
)
def threshold_miou(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean IoU of the map's mask with the mask, over all relative thresholds from 0 to 1.

    The integral is exact: the IoU changes only at the map's values.
    """
    values, overlap = _overlaps(maps, masks)
    steps = values - np.append(values[..., 1:], 0 * values[..., :1], axis=-1)
    return np.asarray((overlap * steps).sum(axis=-1) / values[..., 0])


@of_maps_and_masks(
    formula="max |H(t) ∩ M| / |H(t) ∪ M| over t from 0 to 1",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    invariant=("scale", "pixels"),
    use="what the best threshold of each map would reach; an upper bound, chosen with the mask",
    source="-",
)
def best_iou(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Largest IoU of the map's mask with the mask, over all relative thresholds.

    See `best_threshold` for the threshold. Pixels at 0 are in no mask.
    """
    return np.asarray(_attained(maps, masks)[1].max(axis=-1))


@of_maps_and_masks(
    formula="argmax_t |H(t) ∩ M| / |H(t) ∪ M|",
    low=0,
    high=1,
    unit="share of the maximum",
    higher="only the map's strongest pixels are in the mask",
    invariant=("scale", "pixels"),
    use="which relative threshold fits masks, over many words; do not choose it on the words that it then measures",
    source="-",
)
def best_threshold(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Relative threshold with the largest IoU.

    All thresholds between two of the map's values make the same mask. The one halfway is returned, and the highest one
    if several masks are equally good.
    """
    values, overlap = _attained(maps, masks)
    best = overlap.argmax(axis=-1)[..., None]
    value = np.take_along_axis(values, best, axis=-1)
    below = np.where(values < value, values, 0.0).max(axis=-1)
    return np.asarray((value[..., 0] + below) / 2 / values[..., 0])


def _ranked(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort pixels by value, strongest first.

    Returns
    -------
    values, hits, last
        The values; whether each pixel is in the mask; and the place of the last pixel of the same value.
        *Shape:* ``(..., pixel)`` each.
    """
    order = np.argsort(-maps, axis=-1, kind="stable")
    values, hits = (np.take_along_axis(array, order, axis=-1) for array in (maps, masks))
    n = values.shape[-1]
    ends = np.append(values[..., 1:] != values[..., :-1], np.ones_like(hits[..., :1]), axis=-1)
    places = np.where(ends, np.arange(n), n)
    last = np.minimum.accumulate(places[..., ::-1], axis=-1)[..., ::-1]
    return values, hits, last


def _overlaps(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted values, and the IoU of the mask with the pixels of each value and all stronger ones."""
    values, hits, last = _ranked(maps, masks)
    found = np.cumsum(hits, axis=-1)
    overlap = found / (found[..., -1:] + np.arange(1, hits.shape[-1] + 1) - found)
    return values, np.take_along_axis(overlap, last, axis=-1)


def _attained(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same, with an IoU of -1 at pixels of 0, which no relative threshold lets in."""
    values, overlap = _overlaps(maps, masks)
    return values, np.where(values > 0, overlap, -1.0)
