"""What a diagnosis examines: the maps of one image, and what is known of their recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.subwords import Subword, WordAlignment


@dataclass(frozen=True, eq=False)
class Examination:
    """The maps of one image, and what is known of their recording.

    Attributes
    ----------
    sentence
        The parsed prompt.
    words
        Alignment of every word with its subwords.
    subwords
        The encoder's tokens, including special ones.
    token_maps
        Mean attention probability of each token. *Shape:* ``(token, y, x)``.
    truncated_by
        Character offset at which each text encoder stopped reading, by its name; None if it read the whole prompt.
    word_maps
        The map of each word that has one, by the word's index. *Shape:* ``(y, x)``.
    steps
        Numbers of the steps that the maps are the mean of, from 0; None for all steps, or if they are unknown.
    provenance
        Provenance of the maps.
    image
        Pixels of the image, from 0 to 1, *shape* ``(y, x, 3)``; None if it is not known.
    """

    sentence: Sentence
    words: Sequence[WordAlignment]
    subwords: Sequence[Subword]
    token_maps: np.ndarray
    truncated_by: Mapping[str, int | None]
    word_maps: Mapping[int, np.ndarray]
    steps: Sequence[int] | None
    provenance: Mapping[str, Any]
    image: np.ndarray | None = None

    @cached_property
    def stack(self) -> np.ndarray:
        """The maps of all words that have one, as float64. *Shape:* ``(word, y, x)``."""
        maps = [each.astype(np.float64) for each in self.word_maps.values()]
        return np.stack(maps) if maps else np.zeros((0, *self.token_maps.shape[-2:]))

    def texts(self, words: Sequence[int]) -> tuple[str, ...]:
        """Return the texts of words."""
        return tuple(self.sentence[word].text for word in words)
