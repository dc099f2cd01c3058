"""What an image of the embedded model shows, as its annotator sees it: objects, nouns, and colors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from scipy import ndimage

from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.language import Sentence

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotation, Annotator

SMALLEST: Final = 0.005
"""Smallest share of the image that counts as an object."""

_EIGHT: Final = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Contents:
    """What an image shows of a prompt.

    Attributes
    ----------
    objects
        Number of connected objects of any nouns. Objects that touch, as in "riding", count as one.
    nouns
        The prompt's nouns that the image shows.
    colors
        The color of each of them; "own color" if it is not tinted.
    """

    objects: int
    nouns: tuple[str, ...]
    colors: dict[str, str]

    def __str__(self) -> str:
        return ", ".join(f"{noun} ({self.colors[noun]})" for noun in self.nouns) or "none"


def see(annotator: Annotator, images: Sequence[np.ndarray], sentence: Sentence) -> list[Contents]:
    """Return what images show of a prompt.

    Parameters
    ----------
    annotator
        The annotator.
    images
        RGB in [0, 1]. *Shape of each:* ``(y, x, 3)``.
    sentence
        The prompt.
    """
    asked = [token.text for token in sentence.tokens if token.text in NOUNS]
    drawn = [Image.fromarray((image * 255).round().astype(np.uint8)) for image in images]
    return [_contents(seen, asked) for seen in annotator(drawn)]


def _contents(seen: Annotation, asked: Sequence[str]) -> Contents:
    smallest = SMALLEST * seen.nouns.size
    labels, n = ndimage.label(seen.nouns > 0, _EIGHT)
    areas = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    nouns = tuple(dict.fromkeys(noun for noun in asked if seen.mask(noun).sum() >= smallest))
    colors = {noun: seen.color(noun) or "" for noun in nouns}
    return Contents(int((areas >= smallest).sum()), nouns, colors)
