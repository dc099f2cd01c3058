"""What a method maps: words of a caption in a given image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from daam_syntax.language import Sentence

MIN_VISIBLE: Final = 0.003
"""Share of the image; objects with less are almost entirely hidden, and not scored."""

BATCH: Final = 16
"""Images in one denoiser call of a small model."""

Maps = dict[int, np.ndarray]
"""A map of each word, by index, on the method's own grid, not negative. *Shape:* ``(y, x)``."""


@dataclass(frozen=True, eq=False)
class Case:
    """A given image, its caption, and the words whose maps are wanted.

    Attributes
    ----------
    image
        RGB image.
    sentence
        The parsed caption.
    words
        Indices of the words.
    """

    image: Image.Image
    sentence: Sentence
    words: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Thing:
    """A word, and the pixels of what it names.

    Attributes
    ----------
    word
        Index of the word.
    mask
        Pixels of what it names, bool. *Shape:* ``(y, x)``.
    others
        Pixels of the other things of the image.
    """

    word: int
    mask: np.ndarray
    others: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class Scored:
    """A case with known truth.

    Attributes
    ----------
    case
        The image, its caption, and the words of the things.
    things
        The things, one for each word.
    """

    case: Case
    things: tuple[Thing, ...]


def batches(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size`."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def pairs(cases: Sequence[Case]) -> list[tuple[int, int]]:
    """Return the number of the case, and the index of the word, of each word of some cases."""
    return [(number, word) for number, case in enumerate(cases) for word in case.words]


def by_case(cases: Sequence[Case], maps: Sequence[np.ndarray]) -> list[Maps]:
    """Arrange maps in the order of `pairs` by case."""
    found: list[Maps] = [{} for _ in cases]
    for (number, word), values in zip(pairs(cases), maps, strict=True):
        found[number][word] = values
    return found
