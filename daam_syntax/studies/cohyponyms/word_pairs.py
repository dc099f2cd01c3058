"""Pairs of nouns in a prompt, with their similarity in the embedded world or according to a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daam_syntax.emoji.vocabulary import CATEGORY_OF
from daam_syntax.errors import FileError, StudyError
from daam_syntax.language import Prompt, PromptSet
from daam_syntax.language.prompt_sets.articles import fit_articles
from daam_syntax.studies.cohyponyms.correctness import in_embedded_world

KINDS: Final = {
    "animal": ("pet", "farm animal", "wild animal", "bird", "sea animal"),
    "food": ("fruit", "snack"),
    "artefact": ("vehicle", "household item", "building", "instrument", "garment"),
    "plant": ("plant",),
    "character": ("character",),
}
"""Maps each kind of noun to the categories of the embedded world that it covers."""

LEVELS: Final = {"cohyponym": 1.0, "same kind": 0.5, "unrelated": 0.0}
"""Level of similarity (same category, same kind, different kinds) to a number; the numbers only rank the levels."""


@dataclass(frozen=True)
class WordPair:
    """Two nouns in a prompt.

    Attributes
    ----------
    prompt
        The prompt.
    first, second
        Its two nouns, each a token of the prompt.
    similarity
        Similarity of the nouns, on any scale.
    level
        Name of the level of similarity.
    category
        Category or kind of the nouns.
    """

    prompt: str
    first: str
    second: str
    similarity: float
    level: str
    category: str


def word_pair(first: str, second: str, prompt: str | None = None) -> WordPair:
    """Return two nouns of the embedded world with their level, similarity and category.

    Raises
    ------
    StudyError
        If a noun is not in the embedded world.
    """
    if not in_embedded_world([first, second]):
        raise StudyError(
            f"Expected two nouns of the embedded world, but got {first!r} and {second!r}, whose similarity is unknown: "
            "give a file with the columns prompt, slot.first, slot.second, metadata.similarity."
        )
    one, other = CATEGORY_OF[first], CATEGORY_OF[second]
    if one == other:
        level, category = "cohyponym", one
    elif _kind(one) == _kind(other):
        level, category = "same kind", _kind(one)
    else:
        level, category = "unrelated", "different kinds"
    text = prompt or fit_articles(f"a {first} and a {second}")
    return WordPair(text, first, second, LEVELS[level], level, category)


def read_pairs(path: str | Path) -> tuple[WordPair, ...]:
    """Read word pairs from a file of prompts, in any format of `PromptSet.from_file`.

    Parameters
    ----------
    path
        File with the columns ``prompt``, ``slot.first``, ``slot.second``, ``metadata.similarity`` and, optionally,
        ``metadata.level`` and ``category``.

    Raises
    ------
    FileError
        If the file cannot be read, or if prompts lack a word or the similarity; the message lists all of them.
    """
    rows = PromptSet.from_file(path).rows
    pairs = [_of_row(row) for row in rows]
    wrong = [repr(row.text) for row, pair in zip(rows, pairs, strict=True) if pair is None]
    if wrong:
        raise FileError(
            f"Expected columns slot.first, slot.second and a number as metadata.similarity in {path}, but "
            f"{len(wrong)} prompts lack one: {', '.join(wrong)}."
        )
    return tuple(pair for pair in pairs if pair is not None)


def _of_row(row: Prompt) -> WordPair | None:
    """Return the word pair of a prompt, or None if a noun or the similarity is missing."""
    first, second = row.slots.get("first"), row.slots.get("second")
    try:
        similarity = float(row.metadata.get("similarity", "nan"))
    except ValueError:
        return None
    if not first or not second or not math.isfinite(similarity):
        return None
    level = row.metadata.get("level") or f"similarity {similarity:g}"
    return WordPair(row.text, first, second, similarity, level, row.category or level)


def _kind(category: str) -> str:
    return next(kind for kind, categories in KINDS.items() if category in categories)
