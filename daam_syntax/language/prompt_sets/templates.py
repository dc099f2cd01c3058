"""Templates: make prompts by filling slots from lists of words, all or a seeded sample."""

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
"""Maximum number of prompts from a template."""


@dataclass(frozen=True)
class Template:
    """A text with slots, for instance ``"a {color} {noun} on {place}"``.

    ``{color}`` is filled from the list ``color``, with the same value at each occurrence. ``{other:color}`` is a slot
    ``other`` that is filled from the same list; slots of one list always get different values. The article before a
    slot agrees with its value, and an empty value leaves no double space. ``{{`` is a literal brace.

    Attributes
    ----------
    text
        The text with its slots.
    values
        Maps each list's name to its values.

    Raises
    ------
    PromptError
        If a slot has no list, a list has no or too few values, or braces hold anything except names.
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
                    f"Expected values for the slot {slot!r}, but got only the lists: {has}."
                )
        if self.n_fillings == 0:
            raise PromptError(
                f"Expected at least as many values in each list as slots of {self.text!r} that share it, but got fewer."
            )

    @cached_property
    def slots(self) -> dict[str, str]:
        """Maps each slot to the name of its list, in the order of the text."""
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
            return list(string.Formatter().parse(self.text))  # parses without evaluating anything
        except ValueError as error:
            raise PromptError(
                f"Expected a template, but {self.text!r} is not one: {error}."
            ) from None

    @cached_property
    def _choices(self) -> list[int]:
        """Number of values left for each slot after the earlier slots of its list."""
        names = list(self.slots.values())
        return [len(self.values[name]) - names[:n].count(name) for n, name in enumerate(names)]

    @property
    def n_fillings(self) -> int:
        """Number of ways to fill the slots."""
        return math.prod(max(0, n) for n in self._choices)

    def filling(self, number: int) -> dict[str, str]:
        """Return the value of each slot for one of the `n_fillings` ways, numbered from 0."""
        places: list[int] = []
        for n in reversed(self._choices):
            number, place = divmod(number, n)
            places.insert(0, place)
        left = {name: list(values) for name, values in self.values.items()}
        # `pop` takes a value away from the later slots of its list.
        chosen = zip(self.slots.items(), places, strict=True)
        return {slot: left[name].pop(place) for (slot, name), place in chosen}

    def fill(self, filling: Mapping[str, str]) -> str:
        """Return the text with its slots filled."""
        text = "".join(
            literal + ("" if slot is None else filling[slot]) for literal, slot, _, _ in self._parts
        )
        return fit_articles(re.sub(r" +", " ", text).strip())

    def prompts(self, n: int | None = None, seed: int = 0) -> Iterator[Prompt]:
        """Yield all prompts in order, or a sample of `n` without replacement in random order.

        Raises
        ------
        PromptError
            If there are fewer than `n` prompts, or more than a million without `n`.
        """
        for number in _numbers(self.n_fillings, n, seed):
            yield self._prompt(self.filling(number))

    def pairs(self, slot: str, n: int, seed: int = 0) -> Iterator[Prompt]:
        """Yield the prompts of `n` minimal pairs, first and second in turn, which differ in the value of one slot.

        No prompt is in two pairs.

        Raises
        ------
        PromptError
            If the slot does not exist, or there are fewer than `n` pairs.
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
            f"Expected {n} pairs from the template {self.text!r}, but found only {len(taken) // 2} without using a "
            "prompt twice; give more values."
        )

    def _prompt(self, filling: Mapping[str, str]) -> Prompt:
        return Prompt(self.fill(filling), template=self.text, slots=filling)


def _numbers(total: int, n: int | None, seed: int) -> Iterable[int]:
    if n is None and total > _MOST:
        raise PromptError(
            f"Expected at most {_MOST:,} prompts, but there are {total:,}; choose how many to sample (n)."
        )
    most = min(total, _MOST)
    if n is not None and not 1 <= n <= most:
        raise PromptError(f"Expected a sample of 1 to {most:,} prompts, but got {n:,}.")
    return range(total) if n is None else itertools.islice(_shuffled(total, seed), n)


def _shuffled(total: int, seed: int) -> Iterator[int]:
    """Yield the numbers below `total` in random order, each once, at most a million."""
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
