"""Objects in an annotated image: which pixels belong to each asked noun, and whether they are one whole thing.

Lengths are shares of the image's side and areas shares of the image, so that the size of images does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from benchmarks.emoji_model.judge.sprite_shapes import Box, coverage, stretch
from daam_syntax.emoji.annotator import NOUN_CLASSES

SPECKLE: Final = 0.005
"""Smallest area of a part; smaller ones are noise of the annotator."""

TOUCHING: Final = 1 / 32
"""Parts closer than this touch."""

SECOND: Final = 0.35
"""A part of this share of the largest part of its noun is a second object, not a remnant."""

STRETCHED: Final = 1.4
"""A region whose proportions differ from those of its sprite by more than this factor is not one whole sprite."""

FILLED: Final = 0.75
"""Smallest area of parts that are one sprite, as a share of that of a sprite of their extent; two sprites in a row or
diagonal have half of it."""

_EIGHT: Final = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Part:
    """Connected pixels of one noun.

    Attributes
    ----------
    noun
        The noun.
    mask
        Its pixels, bool. *Shape:* ``(y, x)``.
    """

    noun: str
    mask: np.ndarray

    @property
    def area(self) -> float:
        """Share of the image."""
        return float(self.mask.mean())


@dataclass(frozen=True)
class Region:
    """What stands in the image for one noun: its parts, and parts of other nouns that are attached to them.

    Attributes
    ----------
    noun
        The noun.
    mask
        All pixels of the region, bool. *Shape:* ``(y, x)``.
    purity
        Share of the region that has the noun itself, 0 to 1. Halves of two animals have 0.5.
    count
        Number of objects of the noun: 2 for twins.
    """

    noun: str
    mask: np.ndarray
    purity: float
    count: int

    @property
    def area(self) -> float:
        """Share of the image."""
        return float(self.mask.mean())

    @property
    def box(self) -> Box:
        """Left, top, right, and bottom, as shares of the sides of the image."""
        ys, xs = np.nonzero(self.mask)
        height, width = self.mask.shape
        return (
            float(xs.min() / width),
            float(ys.min() / height),
            float((xs.max() + 1) / width),
            float((ys.max() + 1) / height),
        )

    @property
    def center(self) -> tuple[float, float]:
        """Center (x, y) of the box."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def extent(self) -> float:
        """Longer side of the box."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


def parts_of(nouns: np.ndarray) -> list[Part]:
    """Return the connected parts of every noun, without speckles, largest first.

    Parameters
    ----------
    nouns
        Noun class of every pixel; 0 is the background. *Shape:* ``(y, x)``.
    """
    parts = []
    for number in np.unique(nouns[nouns > 0]):
        labels, n = ndimage.label(nouns == number, _EIGHT)
        parts += [Part(NOUN_CLASSES[number], labels == i) for i in range(1, n + 1)]
    return sorted((p for p in parts if p.area >= SPECKLE), key=lambda p: -p.area)


def near(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask and those around it that touch it."""
    return np.asarray(
        ndimage.binary_dilation(mask, _EIGHT, iterations=max(1, round(TOUCHING * len(mask))))
    )


def regions(
    nouns: np.ndarray, asked: Collection[str], *, overlapping: bool = False
) -> tuple[dict[str, Region], list[Part]]:
    """Group the parts of an annotation into one region for each asked noun, and what is left over.

    A part of another noun belongs to the asked part with which it shares most of its border: the annotator is unsure
    there, or the image shows a mixture.

    Parameters
    ----------
    nouns
        Noun class of every pixel; 0 is the background. *Shape:* ``(y, x)``.
    asked
        The nouns that the image should show.
    overlapping
        Whether one object may cover another, and split it: parts that hang together through other objects then count
        as one object.

    Returns
    -------
    found
        The region of each asked noun that is there.
    extras
        Parts of other nouns that touch none of them.
    """
    parts = parts_of(nouns)
    own = {noun: [p for p in parts if p.noun == noun] for noun in asked}
    own = {noun: found for noun, found in own.items() if found}
    attached: dict[str, list[Part]] = {noun: [] for noun in own}
    extras = []
    for part in parts:
        if part.noun in asked:
            continue
        border = near(part.mask)
        contact = {n: sum(int((border & p.mask).sum()) for p in own[n]) for n in own}
        best = max(contact, key=lambda n: contact[n], default=None)
        if best is not None and contact[best]:
            attached[best].append(part)
        else:
            extras.append(part)
    blobs = ndimage.label(nouns > 0, _EIGHT)[0] if overlapping else None
    return {noun: _region(own[noun], attached[noun], blobs) for noun in own}, extras


def _region(own: list[Part], attached: list[Part], blobs: np.ndarray | None) -> Region:
    area = sum(part.area for part in own)
    objects = [part for part in own if part.area >= SECOND * own[0].area]
    count = len(objects)
    if count > 1 and is_one_sprite(objects):
        count = 1
    elif blobs is not None:
        count = len({int(np.bincount(blobs[part.mask]).argmax()) for part in objects})
    mask = np.any([part.mask for part in (*own, *attached)], axis=0)
    return Region(own[0].noun, mask, area / (area + sum(p.area for p in attached)), count)


def is_one_sprite(parts: Sequence[Part]) -> bool:
    """Whether parts of one noun touch and have the shape of one sprite together.

    Annotators miss thin lines, such as the stem between the blossom and the leaves of a tulip, and split what is whole.
    """
    mask = np.any([part.mask for part in parts], axis=0)
    if ndimage.label(near(mask), _EIGHT)[1] > 1:
        return False
    region = Region(parts[0].noun, mask, 1.0, 1)
    whole = coverage(region.noun) * region.extent**2
    return region.area >= FILLED * whole and stretch(region.noun, region.box) <= STRETCHED
