"""What the annotator sees in an image: which nouns, of which color, and where they stand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from daam_syntax.emoji.vocabulary import NOUNS

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotation, Annotator

_APART: Final = 0.08
"""Smallest distance of two centers that is a place, as a share of the side of the image."""


@dataclass(frozen=True)
class Seen:
    """What an image shows of some nouns.

    Attributes
    ----------
    colors
        The color of each noun that is shown; "own color" if it is not tinted.
    centers
        The center of its pixels, ``(y, x)``, in shares of the image.
    """

    colors: dict[str, str]
    centers: dict[str, tuple[float, float]]

    def shows(self, *nouns: str) -> bool:
        """Whether all of some nouns are shown."""
        return all(noun in self.colors for noun in nouns)

    def place(self, first: str, last: str, axis: str) -> str | None:
        """Return where one noun is from another: "left" or "right", "above" or "below".

        Parameters
        ----------
        first, last
            The nouns.
        axis
            A word of place, of whose kind the answer is.

        Returns
        -------
        str or None
            None if one is not shown, or they do not stand apart.
        """
        if not self.shows(first, last):
            return None
        is_upright = axis in ("above", "below")
        here, there = (self.centers[noun][0 if is_upright else 1] for noun in (first, last))
        if abs(here - there) < _APART:
            return None
        low, high = ("above", "below") if is_upright else ("left", "right")
        return low if here < there else high


def see(annotator: Annotator, images: Sequence[np.ndarray], nouns: Sequence[str]) -> list[Seen]:
    """Return what images show of some nouns.

    Parameters
    ----------
    annotator
        The annotator.
    images
        RGB in [0, 1]. *Shape of each:* ``(y, x, 3)``.
    nouns
        Nouns; those that the annotator does not know are not looked for.
    """
    drawn = [Image.fromarray((image * 255).round().astype(np.uint8)) for image in images]
    known = [noun for noun in dict.fromkeys(nouns) if noun in NOUNS]
    return [_seen(each, known) for each in annotator(drawn)]


def _seen(seen: Annotation, nouns: Sequence[str]) -> Seen:
    present = seen.present()
    shown = [noun for noun in nouns if noun in present]
    centers = {}
    for noun in shown:
        y, x = np.nonzero(seen.mask(noun))
        height, width = seen.nouns.shape
        centers[noun] = (float(y.mean()) / height, float(x.mean()) / width)
    return Seen({noun: seen.color(noun) or "" for noun in shown}, centers)
