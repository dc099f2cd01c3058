"""Content words, and words of other parts of speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from daam_syntax.language import Sentence

CONTENT: Final = ("NOUN", "PROPN", "ADJ", "VERB")
"""Universal parts of speech of content words."""


def content_words(sentence: Sentence, pos: Sequence[str] = CONTENT) -> list[int]:
    """Return the indices of the words with one of these parts of speech."""
    return [token.index for token in sentence.tokens if token.pos in pos]
