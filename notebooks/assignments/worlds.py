"""Two simulated worlds for assignment 3, in which it is known what relations do.

A word's map is a smooth spot. Its size depends on the part of speech: spots of function words are large. In both worlds
a spot's place is drawn at random, near the center of the image. Only in the world "bound" does a relation matter: an
adjective's spot is drawn near that of its noun.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, product
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

import daam_syntax as ds
from daam_syntax.maps import Subword

GRID = 16
WIDTHS = {"NOUN": 2.2, "ADJ": 3.0}  # of spots, in pixels; other words: 5
COLORS = ("red", "blue", "green", "white", "small", "big")
NOUNS = ("cat", "car", "dog", "boat", "bird", "tree")
FRAMES = (
    "a {} {} and a {} {}",
    "a {} {} next to the {} {}",
    "a {} {} in front of a {} {}",
    "the {} {} is on a {} {}",
    "there is a {} {} beside a {} {}",
    "a photo of a {} {} and a {} {}",
    "a {} {} sits under a {} {}",
    "a very {} {} and a {} {}",
    "two {} {}s and a {} {}",
    "a {} {} on a {} {} at night",
)

World = Literal["null", "bound"]


def prompts(n: int = 30) -> list[str]:
    """Return `n` prompts with two nouns and their adjectives."""
    colors = [pair for pair in product(COLORS, COLORS) if pair[0] != pair[1]]
    nouns = list(combinations(NOUNS, 2))
    return [
        FRAMES[i % len(FRAMES)].format(
            colors[7 * i % len(colors)][0], nouns[i % len(nouns)][0],
            colors[7 * i % len(colors)][1], nouns[i % len(nouns)][1],
        )
        for i in range(n)
    ]  # fmt: skip


def spot(place: np.ndarray, width: float) -> np.ndarray:
    """Return a smooth spot around a place. *Shape:* ``(y, x)``."""
    y, x = np.mgrid[:GRID, :GRID]
    return np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * width**2))


def maps_of(sentence: ds.Sentence, world: World, rng: np.random.Generator) -> ds.HeatMaps:
    """Return simulated maps of one image."""
    places = rng.normal(GRID / 2, 3.5, (len(sentence.tokens), 2))
    if world == "bound":
        for edge in sentence.edges["ud"]:
            if edge.relation == "amod":
                places[edge.dependent] = places[edge.head] + rng.normal(0, 1.5, 2)
    spots = [
        spot(place, WIDTHS.get(token.pos, 5.0)) / 50
        for place, token in zip(places, sentence.tokens, strict=True)
    ]
    data = xr.DataArray(np.array(spots, dtype=np.float32), dims=("token", "y", "x"))
    subwords = [Subword(t.index, t.text, t.start, t.end) for t in sentence.tokens]
    return ds.HeatMaps(data, subwords, sentence, (GRID, GRID))


def images(
    world: World, texts: Sequence[str], *, n_images: int = 3, seed: int = 0
) -> Iterator[ds.HeatMaps]:
    """Yield the maps of every image of every prompt."""
    rng = np.random.default_rng(seed)
    for text in texts:
        sentence = ds.parse(text)
        for number in range(n_images):
            yield maps_of(sentence, world, rng).with_provenance(seed=number)


@cache
def _pairs(world: World, n_prompts: int, n_images: int, seed: int) -> pd.DataFrame:
    return ds.measure_pairs(list(images(world, prompts(n_prompts), n_images=n_images, seed=seed)))


def pairs(world: World, *, n_prompts: int = 30, n_images: int = 3, seed: int = 0) -> pd.DataFrame:
    """Return the pair table of a world, see `ds.measure_pairs`."""
    return _pairs(world, n_prompts, n_images, seed).copy()
