"""Templates with slots: prompts from lists of words, all of them or a seeded sample."""

from __future__ import annotations

import itertools
import math
import random
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.articles import fit_articles
from daam_syntax.language.prompt_sets.rows import Prompt

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_MOST: Final = 1_000_000
"""Prompts of a template at most, without a number of how many are wanted."""


@dataclass(frozen=True)
class Template:
    """A text with slots, for instance ``"a {colour} {noun} on {place}"``.

    ``{colour}`` takes the values of the list ``colour``, and wherever it stands again, the same one. ``{other:colour}``
    is a slot ``other`` with values of that list; slots of one list never have the same value. Articles before a slot
    fit what fills it, and an empty value leaves no second space. ``{{`` stands for a brace.

    Attributes
    ----------
    text
        The text.
    values
        List to its values.

    Raises
    ------
    PromptError
        If a slot has no list, a list no values, or there is anything but a name in braces.
    """

    text: str
    values: Mapping[str, Sequence[str]]

    def __post_init__(self) -> None:
        lists = {name: tuple(dict.fromkeys(values)) for name, values in self.values.items()}
        object.__setattr__(self, "values", lists)
        slots = self.slots
        if not slots:
            raise PromptError(
                f"Expected a template with slots such as {{noun}}, but got {self.text!r}."
            )
        for slot, name in slots.items():
            if not lists.get(name):
                has = ", ".join(lists) or "none"
                raise PromptError(
                    f"Expected values for the slot {slot!r}, but there are only: {has}."
                )
        if self.n_fillings == 0:
            raise PromptError(
                f"Expected more values in the lists of {self.text!r} than slots that share one."
            )

    @cached_property
    def slots(self) -> dict[str, str]:
        """Slot to the list of its values, in the order of the text."""
        found: dict[str, str] = {}
        for _, slot, name, conversion in self._parts:
            if slot is None:
                continue
            if conversion or not _NAME.fullmatch(slot) or (name and not _NAME.fullmatch(name)):
                raise PromptError(
                    f"Expected a name, or name:list, in the braces of {self.text!r}, but got {slot!r}."
                )
            found.setdefault(slot, name or slot)
        return found

    @cached_property
    def _parts(self) -> list[tuple[str, str | None, str | None, str | None]]:
        try:
            return list(string.Formatter().parse(self.text))  # only parsed: nothing is looked up
        except ValueError as error:
            raise PromptError(f"Expected a template, but {self.text!r} is none: {error}.") from None

    @cached_property
    def _choices(self) -> list[int]:
        """How many values are left for each slot, after the earlier slots of its list."""
        names = list(self.slots.values())
        return [len(self.values[name]) - names[:n].count(name) for n, name in enumerate(names)]

    @property
    def n_fillings(self) -> int:
        """In how many ways the slots can be filled."""
        return math.prod(max(0, n) for n in self._choices)

    def filling(self, number: int) -> dict[str, str]:
        """Return the value of each slot in one of the `n_fillings` ways, numbered from 0."""
        places: list[int] = []
        for n in reversed(self._choices):
            number, place = divmod(number, n)
            places.insert(0, place)
        left = {name: list(values) for name, values in self.values.items()}
        # A value that is taken is no choice any more.
        chosen = zip(self.slots.items(), places, strict=True)
        return {slot: left[name].pop(place) for (slot, name), place in chosen}

    def fill(self, filling: Mapping[str, str]) -> str:
        """Return the text with its slots filled."""
        text = "".join(
            literal + ("" if slot is None else filling[slot]) for literal, slot, _, _ in self._parts
        )
        return fit_articles(re.sub(r" +", " ", text).strip())

    def prompts(self, n: int | None = None, seed: int = 0) -> Iterator[Prompt]:
        """Yield prompts: all in order, or a sample without replacement in random order.

        Raises
        ------
        PromptError
            If there are not as many, or there would be more than a million.
        """
        for number in _numbers(self.n_fillings, n, seed):
            yield self._prompt(self.filling(number))

    def pairs(self, slot: str, n: int, seed: int = 0) -> Iterator[Prompt]:
        """Yield both prompts of `n` minimal pairs, whose second has another value in one slot.

        No prompt stands in two pairs.

        Raises
        ------
        PromptError
            If there is no such slot, or there are not as many pairs.
        """
        if slot not in self.slots:
            raise PromptError(
                f"Expected one of the slots {', '.join(self.slots)}, but got {slot!r}."
            )
        name = self.slots[slot]
        doubled = Template(f"{self.text} {{exchanged__:{name}}}", self.values)
        taken: set[str] = set()
        for number in _shuffled(doubled.n_fillings, seed):
            filling = doubled.filling(number)
            other = filling.pop("exchanged__")
            both = [self._prompt(filling), self._prompt({**filling, slot: other})]
            texts = {prompt.text for prompt in both}
            if len(texts) == 2 and not texts & taken:
                taken |= texts
                label = f"pair-{len(taken) // 2}"
                for prompt, role in zip(both, ("first", "second"), strict=True):
                    yield Prompt(
                        prompt.text, template=self.text, slots=prompt.slots, pair=label, role=role
                    )
            if len(taken) == 2 * n:
                return
        raise PromptError(
            f"Expected {n} pairs of the template {self.text!r}, but only {len(taken) // 2} were found without using a "
            "prompt twice; give more values."
        )

    def _prompt(self, filling: Mapping[str, str]) -> Prompt:
        return Prompt(self.fill(filling), template=self.text, slots=filling)


def _numbers(total: int, n: int | None, seed: int) -> Iterable[int]:
    if n is None and total > _MOST:
        raise PromptError(
            f"Expected at most {_MOST:,} prompts, but there are {total:,}; say how many to sample."
        )
    if n is not None and not 1 <= n <= (most := min(total, _MOST)):
        raise PromptError(f"Expected a sample of 1 to {most:,} prompts, but got {n:,}.")
    return range(total) if n is None else itertools.islice(_shuffled(total, seed), n)


def _shuffled(total: int, seed: int) -> Iterator[int]:
    """Yield the numbers below `total` in random order, each once; of very many, a million at most."""
    rng = random.Random(seed)
    if total <= _MOST:
        yield from rng.sample(range(total), total)
        return
    seen: set[int] = set()
    while len(seen) < _MOST:
        number = rng.randrange(total)
        if number not in seen:
            seen.add(number)
            yield number
