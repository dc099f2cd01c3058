"""Classes of words: content words, parts of speech, and nouns of places apart from nouns of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from daam_syntax.emoji.model import is_emoji
from daam_syntax.emoji.vocabulary import BACKGROUNDS, COLORS, NOUNS
from daam_syntax.language import Sentence

CONTENT: Final = ("NOUN", "PROPN", "ADJ", "VERB")
"""Universal parts of speech of content words."""

PLACE: Final = "place"
"""Class of nouns that name the background of an image."""

_NAMES: Final = {
    "NOUN": ("noun", "nouns"),
    PLACE: ("noun of a place", "nouns of places"),
    "PROPN": ("proper noun", "proper nouns"),
    "ADJ": ("adjective", "adjectives"),
    "VERB": ("verb", "verbs"),
    "ADV": ("adverb", "adverbs"),
    "ADP": ("adposition", "adpositions"),
    "AUX": ("auxiliary", "auxiliaries"),
    "CCONJ": ("coordinating conjunction", "coordinating conjunctions"),
    "DET": ("determiner", "determiners"),
    "NUM": ("numeral", "numerals"),
    "PRON": ("pronoun", "pronouns"),
}


def content_words(sentence: Sentence, pos: Sequence[str] = CONTENT) -> list[int]:
    """Return the indices of the words with one of these parts of speech."""
    return [token.index for token in sentence.tokens if token.pos in pos]


def places_of(pipe: Any) -> frozenset[str]:
    """Return the nouns that name backgrounds: of the embedded model they are known, of other models none are."""
    return frozenset(BACKGROUNDS) if is_emoji(pipe) else frozenset()


def word_class(sentence: Sentence, word: int, places: frozenset[str]) -> str:
    """Return the universal part of speech of a word, or `PLACE` for a noun that names a place."""
    token = sentence[word]
    return PLACE if token.pos == "NOUN" and token.lemma in places else token.pos


def color_words(sentence: Sentence) -> dict[int, int]:
    """Return the index of each color word of the embedded world, and that of the noun it modifies."""
    return {
        edge.dependent: edge.head
        for edge in sentence.edges_of("ud")
        if edge.relation == "amod"
        and sentence[edge.dependent].text in COLORS
        and sentence[edge.head].text in NOUNS
    }


def class_name(name: str, *, many: bool = False) -> str:
    """Return the name of a class in a sentence; classes without one keep their tag."""
    return _NAMES.get(name, (name, name))[many]
