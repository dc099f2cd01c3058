"""The words that captions of the embedded world have: all that its model was trained on."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Final

from daam_syntax.emoji.vocabulary import (
    BACKGROUNDS,
    CATEGORIES,
    COLORS,
    NOUNS,
    PREPOSITIONS,
    SIZES,
    VERB_FORMS,
)

PATTERN_WORDS: Final = (
    "a",
    "an",
    "the",
    "is",
    "that",
    "there",
    "and",
    "picture",
    "scene",
    "of",
    "with",
)
"""Words of the caption patterns of `daam_syntax.emoji.grammar`, besides those of the vocabulary."""

_WORD: Final = re.compile(r"\w+")
_LIKENESS: Final = 0.82
"""Likeness from which a word is suggested for another, such as "cat" for "cats", but not "to" for "two"."""


@cache
def known_words() -> frozenset[str]:
    """Return the words that the embedded model was trained on, in lower case.

    Other forms of them, such as plurals, are not among its words.
    """
    phrases = chain(
        NOUNS,
        CATEGORIES,
        COLORS,
        SIZES,
        BACKGROUNDS,
        chain.from_iterable(BACKGROUNDS.values()),
        PREPOSITIONS,
        chain.from_iterable(VERB_FORMS.values()),
        PATTERN_WORDS,
    )
    return frozenset(word for phrase in phrases for word in phrase.split())


def unknown_words(text: str) -> tuple[str, ...]:
    """Return the words of a text that are not among `known_words`, in lower case, each once.

    Punctuation is not a word.
    """
    words = dict.fromkeys(_WORD.findall(text.lower()))
    return tuple(word for word in words if word not in known_words())


def similar_word(word: str) -> str | None:
    """Return the word among `known_words` that is spelled most like another one; None if none is like it."""
    return next(iter(get_close_matches(word, sorted(known_words()), 1, _LIKENESS)), None)
