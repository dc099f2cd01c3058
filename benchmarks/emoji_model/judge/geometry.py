"""Where the regions of two objects must lie for each relation, and how large regions must be.

The definition is how scenes are laid out (`daam_syntax.emoji.scenes`). Bounds lie halfway between exact scenes of a
relation and the same scenes with their objects exchanged, or, for objects that touch, a little outside of the exact
scenes; ``tests/project/emoji_model`` holds them against scenes. "Chasing" puts the chaser on the right, because the
artwork faces left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from benchmarks.emoji_model.judge.regions import STRETCHED, Region
from benchmarks.emoji_model.judge.sprite_shapes import coverage, stretch
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.vocabulary import SIZES

OVERLAPPING: Final = ("on", "ride", "wear", "hold")
"""Relations in which one object covers a part of the other."""

_APART: Final = 0.215  # half of the smallest distance of centers in exact scenes
_NOMINAL: Final = {1: 80 / 128, 2: 62 / 128, 3: 44 / 128}  # longer side of an ordinary sprite
# Smallest side of a whole sprite of the visible area, as a share of the nominal side: lower than in exact scenes, and
# higher than half of a sprite has (0.71), except for objects that others cover.
_WHOLE: Final = 0.76
_WHOLE_IN: Final = {
    "on": (0.76, 0.70),
    "ride": (0.76, 0.45),
    "wear": (0.76, 0.50),
    "hold": (0.85, 0.52),
}


# Extents of single objects. Exact scenes vary by 7 % around each size, so that "big" meets "huge"; these two overlap
# by twice the error of the annotator's edges. The other bounds lie between two ranges.
_EXTENTS: Final = {
    "tiny": (0.0, 0.393),
    "small": (0.393, 0.531),
    "big": (0.689, 0.836),
    "huge": (0.79, 1.01),
}


def is_whole(region: Region, spec: SceneSpec, index: int) -> bool:
    """Whether a region is as large as the object of this index is in exact scenes, not only a part of it."""
    n = len(spec.objects)
    obj = spec.objects[index]
    floor = _WHOLE_IN.get(spec.relation, (_WHOLE,) * n)[index] if n == 2 else _WHOLE
    expected = _NOMINAL[n] * SIZES.get(obj.size or "", 1.0)
    side = np.sqrt(region.area / coverage(region.noun))
    return bool(side >= floor * expected)


def is_doubled(region: Region, spec: SceneSpec, index: int) -> bool:
    """Whether a region is much too long for its sprite: two of them that touch.

    Objects that cover each other have other outlines, so only scenes without such objects are judged.
    """
    n = len(spec.objects)
    if n > 1 and spec.relation in OVERLAPPING:
        return False
    expected = _NOMINAL[n] * SIZES.get(spec.objects[index].size or "", 1.0)
    return region.extent > 1.25 * expected and stretch(region.noun, region.box) > STRETCHED


def holds(relation: str, first: Region, second: Region) -> bool:
    """Whether two regions lie as a relation says.

    Parameters
    ----------
    relation
        "and", a preposition, or the lemma of a verb, as in `SceneSpec`.
    first, second
        The regions of the first and the second object.
    """
    dx, dy = (a - b for a, b in zip(first.center, second.center, strict=True))
    beside, stacked = abs(dx) > abs(dy), abs(dy) > abs(dx)
    smaller = second.extent < 1.2 * first.extent  # the first is partly covered
    if relation == "and":
        return bool(np.hypot(dx, dy) >= _APART)
    if relation == "next to":
        return beside and abs(dx) >= _APART
    if relation == "to the left of":
        return beside and dx <= -_APART
    if relation in ("to the right of", "chase"):
        return beside and dx >= _APART
    if relation == "above":
        return stacked and dy <= -_APART
    if relation == "below":
        return stacked and dy >= _APART
    if relation == "on":
        return stacked and dy <= -0.18 and distance(first, second) <= 0.13
    if relation == "ride":
        return stacked and dy <= -0.13 and distance(first, second) <= 0.08
    if relation == "hold":
        return smaller and dx <= -0.13 and distance(first, second) <= 0.10
    if relation == "wear":
        at_place = dy >= 0.05 if second.noun == "hat" else dy <= -0.05
        return smaller and at_place and abs(dx) <= 0.12 and distance(first, second) <= 0.06
    raise ValueError(f"Expected a relation of the embedded world, but got {relation!r}.")


def distance(first: Region, second: Region) -> float:
    """Return the smallest distance between two regions, as a share of the image's side."""
    to_first = ndimage.distance_transform_edt(~first.mask)
    return float(np.asarray(to_first)[second.mask].min() / len(first.mask))


def has_size(region: Region, obj: ObjectSpec) -> bool:
    """Whether a single object is as large as its size word says."""
    low, high = _EXTENTS["big" if obj.size == "large" else str(obj.size)]
    return low <= region.extent < high
