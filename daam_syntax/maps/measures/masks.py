"""Overlap of masks.

Measures take numbers of pixels, so masks are counted once for all measures. H is the head's mask, D the dependent's,
and N the number of pixels; ``shared`` is ``|H ∩ D|``. Arguments broadcast.

The overlap of an empty mask is undefined, not zero. Counting it as 0 would bias relations of function words, whose
masks are often empty (the released DAAM does so).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import over_pixels, ratio
from daam_syntax.maps.measures.declaration import of_masks
from daam_syntax.util.arguments.checks import checked


class PackedMasks:
    """Masks packed as bits, which are counted one machine word at a time.

    Parameters
    ----------
    masks
        Boolean masks. *Shape:* ``(word, y, x)``.

    Attributes
    ----------
    areas
        Pixels of each mask. *Shape:* ``(word,)``.
    n_pixels
        Pixels of the grid.
    """

    @checked
    def __init__(self, masks: np.ndarray) -> None:
        over_pixels(masks)
        if masks.ndim != 3:
            raise ValueError(f"Expected masks of the shape (word, y, x), but got {masks.shape}.")
        masks = np.asarray(masks, dtype=bool)
        self.n_pixels = masks.shape[-2] * masks.shape[-1]
        flat = masks.reshape(len(masks), self.n_pixels)
        packed = np.packbits(flat, axis=-1)
        packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
        self._bits = packed.view(np.uint64)
        self.areas = np.bitwise_count(self._bits).sum(axis=-1, dtype=np.int64)

    @classmethod
    @checked
    def joined(cls, parts: Sequence[PackedMasks]) -> PackedMasks:
        """Concatenate masks of one size."""
        if not parts or len({part.n_pixels for part in parts}) > 1:
            raise ValueError(
                f"Expected masks of one size, but got {sorted({p.n_pixels for p in parts})} pixels."
            )
        whole = cls.__new__(cls)
        whole.n_pixels = parts[0].n_pixels
        whole._bits = np.concatenate([part._bits for part in parts])
        whole.areas = np.concatenate([part.areas for part in parts])
        return whole

    @checked
    def shared(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Count the pixels that the two masks of each pair share.

        Parameters
        ----------
        first, second
            Rows of the masks of each pair. *Shape:* ``(pair,)``.

        Returns
        -------
        numpy.ndarray
            Numbers of pixels. *Shape:* ``(pair,)``.
        """
        # About two megabytes at a time, which stay in the processor's cache.
        if first.ndim != 1 or first.shape != second.shape:
            raise ValueError(
                f"Expected rows of as many heads as dependents, but got {first.shape} and {second.shape}."
            )
        rows = np.concatenate([first, second])
        if rows.size and rows.dtype.kind not in "iu":
            raise ValueError(f"Expected rows as whole numbers, but got {rows.dtype}.")
        if rows.size and not -len(self.areas) <= rows.min() <= rows.max() < len(self.areas):
            raise ValueError(
                f"Expected rows of {len(self.areas)} masks, but got up to {rows.max()}."
            )
        at_once = max(1, 2**18 // max(1, self._bits.shape[1]))
        counts = [
            np.bitwise_count(
                self._bits[first[i : i + at_once]] & self._bits[second[i : i + at_once]]
            ).sum(axis=-1, dtype=np.int64)
            for i in range(0, len(first), at_once)
        ]
        return np.concatenate(counts) if counts else np.zeros(0, np.int64)


@checked
def intersections(masks: np.ndarray) -> np.ndarray:
    """Count the pixels that every two masks share.

    Parameters
    ----------
    masks
        Boolean masks. *Shape:* ``(word, y, x)``.

    Returns
    -------
    numpy.ndarray
        Numbers of pixels, with the areas on the diagonal. *Shape:* ``(word, word)``.
    """
    packed = PackedMasks(masks)
    n = len(masks)
    first, second = np.indices((n, n)).reshape(2, -1)
    return packed.shared(first, second).reshape(n, n).astype(np.float64)


@of_masks(
    formula="|H ∩ D| / |H ∪ D|",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    use="the usual overlap; low for nested masks of unequal size",
    source="Jaccard 1912",
)
def iou(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over union of the masks."""
    head, dependent = np.asarray(head_area, float), np.asarray(dependent_area, float)
    value = ratio(shared, head + dependent - np.asarray(shared, float))
    return np.where((head > 0) & (dependent > 0), value, np.nan)


@of_masks(
    formula="|H ∩ D| / |D|",
    low=0,
    high=1,
    unit="share",
    higher="the head covers more of the dependent",
    mirror="ioh",
    use="how far the head covers the dependent; rises with the head's area",
    source="Tang et al. 2023",
)
def iod(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the dependent's area.

    Where the masks overlap, IoD / IoH is exactly ``|H| / |D|``, so read it beside `log_area_ratio`.
    """
    return np.where(np.asarray(head_area) > 0, ratio(shared, dependent_area), np.nan)


@of_masks(
    formula="|H ∩ D| / |H|",
    low=0,
    high=1,
    unit="share",
    higher="the dependent covers more of the head",
    mirror="iod",
    use="how far the dependent covers the head; rises with the dependent's area",
    source="Tang et al. 2023",
)
def ioh(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the head's area.

    See `iod`.
    """
    return np.where(np.asarray(dependent_area) > 0, ratio(shared, head_area), np.nan)


@of_masks(
    formula="|H| / N",
    low=0,
    high=1,
    unit="share",
    higher="a larger mask",
    mirror="dependent_area",
    undefined="never",
    zero_mass=0,
    use="beside every overlap",
    source="-",
)
def head_area(head_area: ArrayLike, n_pixels: ArrayLike) -> np.ndarray:
    """Share of the image that the head's mask covers."""
    return np.asarray(np.asarray(head_area) / n_pixels)


@of_masks(
    formula="|D| / N",
    low=0,
    high=1,
    unit="share",
    higher="a larger mask",
    mirror="head_area",
    undefined="never",
    zero_mass=0,
    use="beside every overlap",
    source="-",
)
def dependent_area(dependent_area: ArrayLike, n_pixels: ArrayLike) -> np.ndarray:
    """Share of the image that the dependent's mask covers."""
    return np.asarray(np.asarray(dependent_area) / n_pixels)


@of_masks(
    formula="ln(|H| / |D|)",
    low=-np.inf,
    high=np.inf,
    unit="natural log of a ratio",
    higher="a larger head, relative to the dependent",
    mirror_sign=-1,
    use="beside IoD and IoH, whose ratio it is",
    source="-",
)
def log_area_ratio(head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Natural logarithm of the head's area over the dependent's area.

    It is 0 for equal areas, and exchanging the roles changes its sign.
    """
    areas = ratio(head_area, dependent_area)
    return np.log(areas, out=np.full(areas.shape, np.nan), where=areas > 0)


@of_masks(
    formula="N |H ∩ D| / (|H| |D|)",
    low=0,
    high=np.inf,
    unit="ratio to chance",
    higher="more overlap",
    chance=1,
    use="overlap beyond what the areas alone give; noisy for small masks",
    source="Brin et al. 1997",
)
def lift(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: ArrayLike
) -> np.ndarray:
    """Intersection relative to that of independent masks (1 is chance).

    It is at most ``N / max(|H|, |D|)``, so its reach depends on the areas although its chance value does not. The
    measure is known from association rules.
    """
    product = np.asarray(head_area, float) * np.asarray(dependent_area, float)
    return ratio(np.asarray(shared, float) * np.asarray(n_pixels, float), product)


@of_masks(
    formula="log2(N |H ∩ D| / (|H| |D|))",
    low=-np.inf,
    high=np.inf,
    unit="bits",
    higher="more overlap; 0 where lift is 1",
    undefined="a mask is empty, or the masks share no pixel",
    use="lift on a symmetric scale; leaves out pairs without overlap, mostly small masks, so its mean is not area-free",
    source="Church and Hanks 1990",
)
def log_lift(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: ArrayLike
) -> np.ndarray:
    """Base-2 logarithm of lift (0 where overlap is as expected from the areas).

    This is the pointwise mutual information of the masks. Masks that share no pixel have no logarithm. Since small
    masks often share none by chance, the mean over the other pairs rises as masks get smaller. Use `phi` or `lift` for
    means.
    """
    value = lift(shared, head_area, dependent_area, n_pixels)
    return np.log2(value, out=np.full(value.shape, np.nan), where=value > 0)


@of_masks(
    formula="2 |H ∩ D| / (|H| + |D|)",
    low=0,
    high=1,
    unit="share",
    higher="more overlap",
    use="to compare with segmentation work; orders pairs as IoU does",
    source="Dice 1945",
)
def dice(shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike) -> np.ndarray:
    """Intersection over the mean area of the masks.

    It is ``2 IoU / (1 + IoU)``: the same order of pairs on another scale.
    """
    overlap = iou(shared, head_area, dependent_area)
    return 2 * overlap / (1 + overlap)


@of_masks(
    formula="(N |H ∩ D| - |H| |D|) / √(|H| (N - |H|) |D| (N - |D|))",
    low=-1,
    high=1,
    unit="correlation",
    higher="more overlap",
    chance=0,
    undefined="a mask is empty, or a mask covers everything",
    use="the measure to lead with, beside IoU: areas alone cannot move it",
    source="Yule 1912",
)
def phi(
    shared: ArrayLike, head_area: ArrayLike, dependent_area: ArrayLike, n_pixels: ArrayLike
) -> np.ndarray:
    """Correlation of the masks (0 is chance).

    It is Pearson's correlation of the masks as zeros and ones. Its mean over random places is 0 for masks of any area.
    Its reach depends on the areas: where the smaller mask lies within the larger one, it is
    ``√(a (1 - b) / (b (1 - a)))``, with a and b the smaller and the larger share of the image, and only masks of equal
    area reach 1.
    """
    shared, head, dependent, n = (
        np.asarray(a, float) for a in (shared, head_area, dependent_area, n_pixels)
    )
    spread = np.sqrt(head * (n - head)) * np.sqrt(dependent * (n - dependent))
    return ratio(n * shared - head * dependent, spread)
