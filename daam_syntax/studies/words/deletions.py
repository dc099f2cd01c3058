"""Delete each word of a prompt from the attention and from the text, always from the same noise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from daam_syntax.attention import Edit, intervene
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.framework.rewriting import without_word
from daam_syntax.studies.framework.setup import Setup

ATTENTION: Final = "attention"
EQUAL_MASS: Final = "equal mass"
TEXT: Final = "text"
WORDS_ONLY: Final = "words only"

CONDITIONS: Final[Mapping[str, str]] = {
    ATTENTION: "attention deleted",
    EQUAL_MASS: "equal mass taken from all other keys",
    TEXT: "left out of the text",
    WORDS_ONLY: "attention deleted, and that to all special tokens",
}
"""Conditions, and what is done in them."""

Key = tuple[int, str]
"""Index of a word, and a condition."""


@dataclass(frozen=True)
class Deletion:
    """An image without a word, and how it differs from the image with it.

    Attributes
    ----------
    word, condition
        Index of the word, and one of `CONDITIONS`.
    image
        RGB in [0, 1]. *Shape:* ``(y, x, 3)``.
    change
        Mean absolute difference over the channels. *Shape:* ``(y, x)``.
    """

    word: int
    condition: str
    image: np.ndarray
    change: np.ndarray


def words_of(maps: HeatMaps) -> list[int]:
    """Return the indices of all words with a map, without punctuation."""
    return [i for i in maps.mapped if maps.sentence[i].pos not in ("PUNCT", "SYM")]


def delete_words(
    setup: Setup,
    maps: HeatMaps,
    seed: int,
    colors: Collection[int],
    *,
    renormalize: bool = False,
    batch_size: int = 8,
) -> Iterator[Deletion]:
    """Draw the image of a prompt again without each of its words.

    Parameters
    ----------
    setup
        The setup.
    maps
        Maps of the image, with padding, so that all kinds of tokens are known.
    seed
        Seed of the image.
    colors
        Indices of color words; these also get the condition `WORDS_ONLY`.
    renormalize
        Whether the weights that are left are divided by their sum; those left by special tokens always are.
    batch_size
        Number of images drawn together.
    """
    edits = _edits(maps, colors, renormalize)
    items = list(edits.items())
    n = max(1, batch_size - 1)
    for start in range(0, len(items), n):
        some = items[start : start + n]
        chosen = [
            replace(edit, images=(image,))
            for image, (_, several) in enumerate(some, start=1)
            for edit in several
        ]
        with intervene(setup.pipe, chosen, sentences=maps.sentence):
            original, *others = setup.draw(maps.prompt, seed, copies=1 + len(some))
        for (key, _), image in zip(some, others, strict=True):
            yield _deletion(key, original, image)
    (original,) = setup.draw(maps.prompt, seed)
    for word in words_of(maps):
        text = without_word(maps.sentence, word)
        if text:
            (image,) = setup.draw(text, seed, noise_of=maps.prompt)
            yield _deletion((word, TEXT), original, image)


def _deletion(key: Key, original: np.ndarray, image: np.ndarray) -> Deletion:
    return Deletion(*key, image, np.abs(image - original).mean(axis=-1))


def _edits(
    maps: HeatMaps, colors: Collection[int], renormalize: bool
) -> dict[Key, tuple[Edit, ...]]:
    """Return the edits of each word and condition that changes the attention."""
    words = words_of(maps)
    special = tuple(sorted({subword.kind for subword in maps.subwords} - {"text"}))
    edits: dict[Key, tuple[Edit, ...]] = {}
    for word in words:
        delete = Edit((word,), renormalize=renormalize)
        edits[word, ATTENTION] = (delete,)
        edits[word, EQUAL_MASS] = (delete.with_equal_mass(),)
        if word in colors and special:
            edits[word, WORDS_ONLY] = (delete, Edit(tokens=special))
    return edits


def attention_to(maps: HeatMaps, word: int) -> float:
    """Return the attention to a word: its subwords' probabilities, summed, and averaged over pixels; 0 to 1."""
    rows = list(maps.words[word].subwords)
    return float(maps.mean[rows].sum(axis=0, dtype=np.float64).mean())
