"""Names of people, and numbers after nouns, as Universal Dependencies annotates them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from daam_syntax.language.sentence import Span
from daam_syntax.language.tree import Tree

_TITLES: Final = (
    "aunt capt captain dr emperor general king lady lord miss mr mrs ms pope president prince princess prof professor "
    "queen saint sir st uncle"
)
TITLES: Final = frozenset(_TITLES.split())
"""Titles that an entity recognizer may include in a name, in lower case without a period."""

_MONTHS: Final = (
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec"
)
MONTHS: Final = frozenset(_MONTHS.split())
"""Names and abbreviations of months, in lower case without a period."""

_HALVES_OF_DAYS: Final = frozenset({"am", "pm", "a.m.", "p.m."})


def flatten_names(tree: Tree, names: Iterable[Span]) -> None:
    """Make the first word of a person's name its head, and the others `flat`. A title before it is `nmod:desc`.

    A span whose words are not one constituent of name words is left as it is.

    https://universaldependencies.org/u/dep/flat.html and https://universaldependencies.org/en/dep/nmod-desc.html
    """
    for name in names:
        words = [i for i in range(name.start, name.end) if _is_written(tree, i)]
        while len(words) > 1 and tree.tokens[words[0]].text.lower().rstrip(".") in TITLES:
            words.pop(0)
        tops = [i for i in words if tree.heads[i] not in words]
        if len(tops) != 1 or any(tree.tokens[i].pos not in ("PROPN", "X") for i in words):
            continue
        first, top = words[0], tops[0]
        tree.attach(first, tree.heads[top], tree.relations[top])
        for word in words[1:]:
            for child in tree.children(word):
                if child not in words:
                    tree.attach(child, first, tree.relations[child])
        for word in words[1:]:
            tree.attach(word, first, "flat")
        for title in tree.children(first, "compound"):
            tree.relations[title] = "nmod:desc"


def _is_written(tree: Tree, word: int) -> bool:
    """Whether a token is a word rather than punctuation, white space, or a possessive."""
    token = tree.tokens[word]
    return any(map(str.isalnum, token.text)) and token.pos != "PART"


def attach_numbers_after_nouns(tree: Tree) -> None:
    """Attach numbers that follow a noun: names with a number are `flat`, and the day is the head of its month.

    https://universaldependencies.org/en/dep/nmod-unmarked.html
    """
    for word in tree:
        head = tree.heads[word]
        if head is None or tree.relations[word] != "nummod":
            continue
        unit = tree.tokens[head].text.lower()
        if unit in _HALVES_OF_DAYS and word == head - 1:
            _promote_number(tree, word, head)
        elif unit.rstrip(".") in MONTHS and word > head:
            if word == head + 1 and _is_day(tree.tokens[word].text):
                _promote_number(tree, word, head)
            else:
                tree.relations[word] = "npadvmod"
        elif word == head + 1 and tree.tokens[head].pos in ("NOUN", "PROPN"):
            tree.relations[word] = "flat"


def _promote_number(tree: Tree, number: int, unit: int) -> None:
    tree.promote(number, over=unit, relation="npadvmod")
    for child in tree.children(unit):
        tree.attach(child, number, tree.relations[child])
    for year in tree.children(number, "nummod"):
        tree.relations[year] = "npadvmod"


def _is_day(text: str) -> bool:
    digits = text[:-2] if text[-2:].lower() in ("st", "nd", "rd", "th") else text
    return digits.isdecimal() and 1 <= int(digits) <= 31
