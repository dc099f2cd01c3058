"""What the prompt alone says: the baseline that measures of maps must beat."""

from __future__ import annotations

from typing import Final

from daam_syntax.language import Sentence
from daam_syntax.studies.verdicts.map_measures import object_nouns

POS: Final = ("ADJ", "VERB", "AUX", "ADP", "NUM", "DET", "CCONJ", "PUNCT")
"""Parts of speech whose words are counted."""

COLORS: Final = frozenset(
    [
        "black",
        "white",
        "red",
        "green",
        "yellow",
        "blue",
        "brown",
        "purple",
        "pink",
        "orange",
        "gray",
        "grey",
    ]
)
"""Basic color words of English (Berlin and Kay 1969)."""

FEATURES: Final = (
    *("n_objects", "n_places", "n_words", "n_colors"),
    *(f"n_{pos.lower()}" for pos in POS),
)
"""Numbers that describe a prompt: its objects, places, words, color words, and words of each part of speech."""


def describe_prompt(sentence: Sentence, places: frozenset[str]) -> dict[str, float]:
    """Return the numbers of `FEATURES` for a prompt."""
    objects = object_nouns(sentence, places)
    tags = [token.pos for token in sentence.tokens]
    return {
        "n_objects": float(len(objects)),
        "n_places": float(sum(token.lemma in places for token in sentence.tokens)),
        "n_words": float(sum(tag != "PUNCT" for tag in tags)),
        "n_colors": float(sum(token.lemma.lower() in COLORS for token in sentence.tokens)),
        **{f"n_{pos.lower()}": float(tags.count(pos)) for pos in POS},
    }


def nouns_of(sentence: Sentence, places: frozenset[str]) -> frozenset[str]:
    """Return the lemmas of the nouns of objects in a prompt."""
    return frozenset(sentence[index].lemma for index in object_nouns(sentence, places))
