"""Held-out prompts of each kind: the same ones every time, and the first of them if fewer are wanted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from daam_syntax.emoji.grammar import ObjectSpec, Pattern, SceneSpec, write_caption
from daam_syntax.emoji.scenes import is_reserved
from daam_syntax.emoji.vocabulary import (
    ANIMATE,
    BACKGROUNDS,
    CATEGORIES,
    COLORS,
    NOUNS,
    PREPOSITIONS,
    SIZES,
    VERB_FORMS,
    VERB_OBJECTS,
    is_reserved_color,
    is_reserved_pair,
)

PLACE_SHARE: Final = 0.6
"""Share of prompts with a background, as in training captions."""


@dataclass(frozen=True)
class Kind:
    """One kind of prompt.

    Attributes
    ----------
    name
        Its name.
    sample
        Draws the meaning of prompt number `i`.
    aspects
        What is judged beside the objects (see `faults.judge`).
    weight
        Prompts of this kind for each prompt of an ordinary kind.
    reserved
        Whether its prompts combine what no training scene combines; other kinds never do.
    """

    name: str
    sample: Callable[[np.random.Generator, int], SceneSpec]
    aspects: tuple[str, ...] = ()
    weight: float = 1.0
    reserved: bool = False

    def seed(self, number: int) -> int:
        """Return the seed of the noise of a prompt's image."""
        return zlib.crc32(f"{self.name} {number}".encode())


def prompts(kind: Kind, per_kind: int) -> list[SceneSpec]:
    """Return the meanings of the first prompts of a kind, `per_kind` of an ordinary kind."""
    n = max(1, round(kind.weight * per_kind))
    rng = np.random.default_rng(zlib.crc32(kind.name.encode()))
    return [_sample(kind, rng, i) for i in range(n)]


def text(spec: SceneSpec) -> str:
    """Return the prompt of a meaning."""
    return write_caption(spec)[0].text


def _sample(kind: Kind, rng: np.random.Generator, number: int) -> SceneSpec:
    while True:
        spec = kind.sample(rng, number)
        if is_reserved(spec) == kind.reserved:
            return spec


def _place(rng: np.random.Generator) -> str | None:
    return str(rng.choice(list(BACKGROUNDS))) if rng.random() < PLACE_SHARE else None


def _one(
    rng: np.random.Generator, *, noun: str | None = None, place: bool = True, **said: object
) -> SceneSpec:
    obj = ObjectSpec(noun or str(rng.choice(NOUNS)), **said)  # type: ignore[arg-type]
    return SceneSpec((obj,), background=_place(rng) if place else None)


def _in_turn(options: tuple[str, ...], number: int) -> str:
    return options[number % len(options)]


def _shuffled(options: tuple[str, ...]) -> tuple[str, ...]:
    """Shuffle once, so that a few prompts are not all of one category."""
    order = np.random.default_rng(0).permutation(len(options))
    return tuple(options[i] for i in order)


_NOUNS_MIXED: Final = _shuffled(NOUNS)
_CATEGORIES_MIXED: Final = _shuffled(tuple(CATEGORIES))


def _category(rng: np.random.Generator, number: int) -> SceneSpec:
    members = CATEGORIES[_in_turn(_CATEGORIES_MIXED, number)]
    return _one(rng, noun=str(rng.choice(members)), by_category=True)


def _background(rng: np.random.Generator, number: int) -> SceneSpec:
    place = (*BACKGROUNDS, None)[number % (len(BACKGROUNDS) + 1)]
    return SceneSpec((ObjectSpec(str(rng.choice(NOUNS))),), background=place)


def _related(
    relation: str | None, *, colored: bool = False, pattern: Pattern | None = "phrase"
) -> Callable[[np.random.Generator, int], SceneSpec]:
    """Return a sampler of two objects; any spatial relation, or any pattern, if None."""

    def sample(rng: np.random.Generator, number: int) -> SceneSpec:
        chosen = relation or str(rng.choice(["and", *PREPOSITIONS]))
        first, second = _noun_pair(rng, chosen)
        colors: list[str | None] = [None, None]
        if colored:
            colors = [str(c) for c in rng.choice(list(COLORS), size=2, replace=False)]
        others = [p for p in get_args(Pattern) if p != "phrase"]
        return SceneSpec(
            (ObjectSpec(first, colors[0]), ObjectSpec(second, colors[1])),
            chosen,
            _place(rng),
            pattern or str(rng.choice(others)),  # type: ignore[arg-type]
        )

    return sample


def _noun_pair(rng: np.random.Generator, relation: str) -> tuple[str, str]:
    subjects, objects = tuple(NOUNS), tuple(NOUNS)
    if relation in VERB_OBJECTS:
        subjects, objects = tuple(sorted(ANIMATE)), tuple(sorted(VERB_OBJECTS[relation]))
    first = str(rng.choice(subjects))
    return first, str(rng.choice([noun for noun in objects if noun != first]))


def _other_pattern(rng: np.random.Generator, number: int) -> SceneSpec:
    relation = str(rng.choice(["and", *PREPOSITIONS, *VERB_FORMS]))
    return _related(relation, pattern=None)(rng, number)


def _three(rng: np.random.Generator, number: int) -> SceneSpec:
    nouns = rng.choice(NOUNS, size=3, replace=False)
    return SceneSpec(tuple(ObjectSpec(str(noun)) for noun in nouns), "and", _place(rng))


def _reserved_nouns(rng: np.random.Generator, number: int) -> SceneSpec:
    while True:
        spec = _related(None)(rng, number)
        if is_reserved_pair(*(obj.noun for obj in spec.objects)):
            return spec


def _reserved_colors(rng: np.random.Generator, number: int) -> SceneSpec:
    while True:
        spec = _related(None, colored=True)(rng, number)
        tinted = [is_reserved_color(str(obj.color), obj.noun) for obj in spec.objects]
        if any(tinted) and not is_reserved_pair(*(obj.noun for obj in spec.objects)):
            return spec


def _kinds() -> Iterator[Kind]:
    yield Kind("noun alone", lambda rng, i: _one(rng, noun=_in_turn(_NOUNS_MIXED, i)), weight=2.8)
    yield Kind("category noun", _category)
    yield Kind(
        "color", lambda rng, i: _one(rng, color=_in_turn(tuple(COLORS), i)), aspects=("color",)
    )
    yield Kind("size", lambda rng, i: _one(rng, size=_in_turn(tuple(SIZES), i)), aspects=("size",))
    yield Kind("background", _background, aspects=("place",))
    for relation in ("and", *PREPOSITIONS, *VERB_FORMS):
        yield Kind(relation, _related(relation), aspects=("relation",))
    yield Kind("two colored objects", _related(None, colored=True), aspects=("color",))
    yield Kind("three objects", _three)
    yield Kind("other caption patterns", _other_pattern, aspects=("relation",))
    yield Kind("reserved nouns", _reserved_nouns, weight=0.5, reserved=True)
    yield Kind("reserved colors", _reserved_colors, aspects=("color",), weight=0.5, reserved=True)


KINDS: Final = {kind.name: kind for kind in _kinds()}
"""All kinds of prompts, by name. The language has no number words, so there are no counts."""
