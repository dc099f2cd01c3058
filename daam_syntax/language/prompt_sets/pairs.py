"""Pairs of prompts that differ in one word, or in the order of their words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.rows import Prompt

_TOKEN: Final = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")
_ARTICLES: Final = frozenset({"a", "an"})


@dataclass(frozen=True)
class PromptPair:
    """Two prompts to compare.

    Attributes
    ----------
    name
        Name of the pair.
    first, second
        The prompts.
    """

    name: str
    first: Prompt
    second: Prompt

    @property
    def exchanged(self) -> tuple[tuple[str, str], ...] | None:
        """The words that differ, position by position; None if the prompts differ in length.

        An article that only agrees with the next word ("a cat", "an owl") does not count.
        """
        first, second = (_TOKEN.findall(prompt.text) for prompt in (self.first, self.second))
        if len(first) != len(second):
            return None
        return tuple(
            (one, other)
            for one, other in zip(first, second, strict=True)
            if one != other and not {one.lower(), other.lower()} <= _ARTICLES
        )

    @property
    def is_minimal(self) -> bool:
        """Whether the prompts differ in exactly one word."""
        return self.exchanged is not None and len(self.exchanged) == 1


def find_pairs(rows: Sequence[Prompt], *, minimal: bool) -> tuple[PromptPair, ...]:
    """Return the pairs of a set, in the order of their first prompts.

    Raises
    ------
    PromptError
        If there are no pairs, or with `minimal` if any pairs do not differ in exactly one word; all of them are listed.
    """
    members: dict[str, list[Prompt]] = {}
    for row in rows:
        if row.pair:
            members.setdefault(row.pair, []).append(row)
    pairs = tuple(PromptPair(name, *both) for name, both in members.items())
    if not pairs:
        raise PromptError(
            "Expected pairs of prompts, but there are none; give both prompts of a pair the same name in the column "
            "'pair'."
        )
    wrong = [pair for pair in pairs if minimal and not pair.is_minimal]
    if wrong:
        named = "; ".join(f"{p.name}: {p.first.text!r} and {p.second.text!r}" for p in wrong)
        raise PromptError(
            f"Expected pairs that differ in one word, but {len(wrong)} do not: {named}"
        )
    return pairs
