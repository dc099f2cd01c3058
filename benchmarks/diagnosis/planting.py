"""Faults that are planted in good maps, and prompts that are at fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.drawing import Drawn, traced_once
from daam_syntax.emoji.model import STEPS
from daam_syntax.emoji.scenes import scene
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.maps import HeatMaps

UNTRAINED = ("dragon", "wizard", "ship", "cats", "lamp", "pirate", "rocket", "purse", "wolf", "two")
"""Words that no caption of the embedded world has, among them other forms of words that it has."""


@dataclass(frozen=True)
class Planted:
    """Maps with a fault: the words that have it (none if the image has it), and the image."""

    maps: HeatMaps
    words: tuple[int, ...] = ()
    image: np.ndarray | None = None


Plant = Callable[[Drawn, np.random.Generator], Planted | None]


def in_one_map(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Plant:
    """Plant a fault in the map of one word, chosen by chance."""

    def plant(drawn: Drawn, rng: np.random.Generator) -> Planted:
        maps = drawn.mean
        word = int(rng.choice(maps.mapped))
        values = maps.mean.copy()
        for row in maps.words[word].subwords:
            values[row] = change(values[row].astype(float), rng)
        # Words that share a subword with it have the fault, too; none does in the embedded world.
        return Planted(maps.with_values(np.clip(values, 0, None)), (word,))

    return plant


def flattened(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Divide the differences from the mean by 20."""
    return values.mean() + (values - values.mean()) / 20


def shuffled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put the cells in another order."""
    return rng.permutation(values.ravel()).reshape(values.shape)


def noisy(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise of twice the variance of the map, without values below its minimum."""
    noise = rng.standard_normal(values.shape)
    return values + np.sqrt(2) * values.std() * (noise - noise.min())


def ringed(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the maximum of the map along the border."""
    result = values + values.max()
    result[1:-1, 1:-1] = values[1:-1, 1:-1]
    return result


def one_side(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the maximum of the map at one side."""
    turns = int(rng.integers(4))
    result = np.rot90(values, turns).copy()
    result[0] += values.max()
    return np.rot90(result, -turns)


def repeated_words(maps: HeatMaps) -> list[tuple[int, int]]:
    """Return each word that occurred before, after its first occurrence."""
    first: dict[str, int] = {}
    texts = {word: maps.sentence[word].text for word in maps.mapped}
    return [
        (first[text], word) for word, text in texts.items() if first.setdefault(text, word) != word
    ]


def copied(drawn: Drawn, rng: np.random.Generator) -> Planted | None:
    """Give a word the map of its first occurrence, up to rounding."""
    maps = drawn.mean
    repeated = repeated_words(maps)
    if not repeated:
        return None
    first, other = repeated[int(rng.integers(len(repeated)))]
    values = maps.mean.copy()
    rounding = 1 + 1e-4 * rng.standard_normal(maps.grid)
    for row in maps.words[other].subwords:
        values[row] = maps[first].values * rounding
    return Planted(maps.with_values(values), (first, other))


def saturated(drawn: Drawn, rng: np.random.Generator) -> Planted:
    """Move all but a 500th of the words' attention to the start token."""
    maps = drawn.mean
    is_text = np.array([subword.kind == "text" for subword in maps.subwords])
    values = maps.mean.copy()
    values[is_text] /= 500
    values[0] += 499 * values[is_text].sum(axis=0)
    return Planted(maps.with_values(values), maps.mapped)


def one_step(drawn: Drawn, rng: np.random.Generator) -> Planted:
    """Keep one of the steps."""
    return Planted(drawn.maps.select(steps=int(rng.integers(STEPS))))


def one_third(drawn: Drawn, rng: np.random.Generator) -> Planted:
    """Keep the first or the last third of the steps."""
    part = slice(0, 1 / 3) if rng.random() < 0.5 else slice(2 / 3, 1)
    return Planted(drawn.maps.select(steps=part))


def unknown_token(drawn: Drawn, rng: np.random.Generator) -> Planted:
    """Let the tokenizer know no token of a word, as tokenizers without bytes do."""
    maps = drawn.mean
    word = int(rng.choice(maps.mapped))
    subwords = [
        replace(subword, text="<unk>") if row in maps.words[word].subwords else subword
        for row, subword in enumerate(maps.subwords)
    ]
    changed = HeatMaps(
        maps.data.drop_vars(["subword", "encoder"]),
        subwords,
        maps.sentence,
        maps.image_size,
        provenance=maps.provenance,
    )
    return Planted(changed, (word,))


def black(drawn: Drawn, rng: np.random.Generator) -> Planted:
    """Replace the image by a black one."""
    return Planted(drawn.mean, image=np.zeros((8, 8, 3)))


def swapped(drawn: Drawn, rng: np.random.Generator) -> Planted | None:
    """Exchange the maps of two words, which no criterion is made for."""
    maps = drawn.mean
    single = [word for word in maps.mapped if len(maps.words[word].subwords) == 1]
    if len(single) < 2:
        return None
    one, other = (maps.words[int(w)].subwords[0] for w in rng.choice(single, 2, replace=False))
    values = maps.mean.copy()
    values[[one, other]] = values[[other, one]]
    return Planted(maps.with_values(values))


PLANTS: dict[str, tuple[str, Plant]] = {
    "contrast divided by 20": ("flat", in_one_map(flattened)),
    "cells in another order": ("scattered", in_one_map(shuffled)),
    "noise of twice the map's variance": ("scattered", in_one_map(noisy)),
    "the map's maximum added along the border": ("border", in_one_map(ringed)),
    "the map's maximum added at one side": ("border", in_one_map(one_side)),
    "a map copied to another occurrence": ("identical", copied),
    "all but a 500th of the words' attention moved to the start token": (
        "special tokens",
        saturated,
    ),
    "one of 20 steps": ("steps", one_step),
    "a third of the steps": ("steps", one_third),
    "a word without a token": ("unknown", unknown_token),
    "a black image": ("blacked out", black),
}
"""Faults that are planted in the maps of a good image, each with the kind of finding that it should give."""


def is_found(planted: Planted, kind: str) -> bool:
    """Return whether the kind is found in all words that have the fault."""
    found = [each for each in planted.maps.diagnose(planted.image) if each.kind == kind]
    return bool(found) and set(planted.words) <= {w for each in found for w in each.words}


def drawn_faults(pipe: Any, drawn: Sequence[Drawn]) -> dict[str, tuple[str, list[bool]]]:
    """Trace prompts that are too long, and prompts with a word that the model was not trained on."""
    long = [f"{each.scene.caption} and {scene(i).caption}" for i, each in enumerate(drawn)]
    long = [f"{prompt} and {scene(900 + i).caption}" for i, prompt in enumerate(long)]
    words = [UNTRAINED[i % len(UNTRAINED)] for i in range(len(drawn))]
    other = [
        re.sub("|".join(rf"\b{noun}\b" for noun in NOUNS), word, each.scene.caption, count=1)
        for each, word in zip(drawn, words, strict=True)
    ]
    other = [p if w in p else f"{p} and a {w}" for p, w in zip(other, words, strict=True)]
    truncated = [
        (maps, [word.index for word in maps.words if word.status == "truncated"])
        for maps in traced_once(pipe, long)
    ]
    unread = [(maps, words) for maps, words in truncated if maps.truncated_at is not None]
    untrained = [
        (maps, list(maps.sentence.find(word)))
        for maps, word in zip(traced_once(pipe, other), words, strict=True)
    ]
    return {
        "a prompt that is too long": (
            "truncated",
            [is_found(Planted(m, tuple(w)), "truncated") for m, w in unread],
        ),
        "a word that no caption has": (
            "untrained",
            [is_found(Planted(m, tuple(w)), "untrained") for m, w in untrained],
        ),
    }
