"""All worlds, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from benchmarks.null_worlds.map_worlds import MapWorld, Shapes
from benchmarks.null_worlds.pair_worlds import BY_POS, Means, PairWorld, by_pos
from benchmarks.null_worlds.prompts import Layout
from benchmarks.null_worlds.studies import World

CONTENT: Final = ("NOUN", "PROPN", "VERB", "ADJ", "NUM", "ADV")
"""Parts of speech of content words."""


def _area_pos(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(area=by_pos(layout.words))


def _overlap_pos(layout: Layout, rng: np.random.Generator) -> Means:
    of_word = by_pos(layout.words)
    return Means(overlap=0.5 * (of_word[layout.head] + of_word[layout.dependent]))


def _area_place(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(area=1.0 - 0.2 * layout.words["index"].to_numpy())


def _overlap_place(layout: Layout, rng: np.random.Generator) -> Means:
    index = layout.words["index"].to_numpy()
    return Means(overlap=0.8 - 0.1 * (index[layout.head] + index[layout.dependent]))


def _function_words(layout: Layout, rng: np.random.Generator) -> Means:
    content = layout.words["pos"].isin(CONTENT)
    return Means(area=np.where(content, -0.8, 2.0))


def _undefined(layout: Layout, rng: np.random.Generator) -> Means:
    rate = {"DET": 0.5, "ADP": 0.4, "CCONJ": 0.5, "ADJ": 0.2, "NUM": 0.2, "VERB": 0.1}
    return Means(area=by_pos(layout.words), missing=by_pos(layout.words, rate))


def _length(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(overlap=2.0 - 0.2 * layout.words["length"].to_numpy()[layout.head])


def _subwords(layout: Layout, rng: np.random.Generator) -> Means:
    n = layout.words["subwords"].to_numpy()
    return Means(overlap=-0.8 * (n[layout.head] + n[layout.dependent] - 2), area=0.6 * (n - 1))


def _exponential(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(overlap=2 * np.exp(-layout.distance / 2))


def _linear(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(overlap=-0.2 * layout.distance)


def _adjacent(layout: Layout, rng: np.random.Generator) -> Means:
    return Means(overlap=1.0 * (layout.distance == 1))


def _whole_images(layout: Layout, rng: np.random.Generator) -> Means:
    """Images differ as wholes; in those with more overlap, whole parts of speech have no mask."""
    image = layout.words["image"].to_numpy()
    high = rng.random(image.max() + 1) < 0.5
    pos = layout.words["pos"].isin(["ADJ", "VERB", "CCONJ"]).to_numpy()
    missing = np.where(pos & high[image], 0.8, 0.0)
    return Means(missing=missing, image=2.0 * high)


def _lemmas(layout: Layout, rng: np.random.Generator) -> Means:
    """Effects of lemmas on area and overlap.

    Those of content words are drawn anew for each study: nouns are a sample. Function words have the same effects in
    all studies: most prompts contain "a", and nobody samples determiners.
    """
    codes, lemmas = pd.factorize(layout.words["lemma"])
    effects = rng.normal(size=(len(lemmas), 2))
    is_content = layout.words["pos"].isin(CONTENT).to_numpy()
    for code in np.unique(codes[~is_content]):
        effects[code] = np.random.default_rng([*map(ord, lemmas[code])]).normal(size=2)
    area, of_word = (effects * (0.8, 0.6))[codes].T
    return Means(area=area, overlap=of_word[layout.head] + of_word[layout.dependent])


def _templates(layout: Layout, rng: np.random.Generator) -> Means:
    """Each template has effects of its own, of each pair of places in the sentence."""
    names, templates = pd.factorize(layout.table["template"])
    h, d = (layout.table[f"{role}_index"].to_numpy(int) for role in ("head", "dependent"))
    effects = rng.normal(0, 0.8, (len(templates), 64, 64))
    return Means(overlap=effects[names, np.minimum(h, d) % 64, np.maximum(h, d) % 64])


def _slots(layout: Layout, rng: np.random.Generator) -> Means:
    """One structure: each place has an effect of its own, and overlap falls with distance."""
    index = layout.words["index"].to_numpy()
    area = rng.normal(0, 0.8, 64)[index]
    of_word = rng.normal(0, 0.6, 64)[index]
    overlap = of_word[layout.head] + of_word[layout.dependent] + 2 * np.exp(-layout.distance / 2)
    return Means(area=area, overlap=overlap)


_PEAK: Final = {pos: 1.6 - 0.8 * value for pos, value in BY_POS.items()}


def _peaks(layout: Layout) -> np.ndarray:
    return layout.words["pos"].map(_PEAK).fillna(1.6).to_numpy(float)


def _broad_function(layout: Layout, rng: np.random.Generator) -> Shapes:
    content = layout.words["pos"].isin(["NOUN", "PROPN", "VERB", "ADJ", "NUM", "ADV"]).to_numpy()
    return Shapes(peak=np.where(content, 1.6, 0.3))


def _smooth_pos(layout: Layout, rng: np.random.Generator) -> Shapes:
    return Shapes(width=np.round(2 + 1.2 * by_pos(layout.words), 2).clip(0.8))


def _center_pos(layout: Layout, rng: np.random.Generator) -> Shapes:
    return Shapes(peak=_peaks(layout), center=2.0)


def _punctuation(layout: Layout, rng: np.random.Generator) -> Shapes:
    marks = layout.words["pos"].eq("PUNCT").to_numpy()
    return Shapes(copy=np.where(marks, 0.95, 0.0), peak=np.where(marks, 0.8, 1.4))


NOISE: Final = World("noise", "nothing", neutral=True)
MAPS: Final = World("independent maps", "nothing (maps)", MapWorld(), neutral=True)

SHAPES: Final[tuple[World, ...]] = (
    World("area by part of speech", "areas by part of speech", PairWorld(_area_pos)),
    World("overlap by part of speech", "parts of speech", PairWorld(_overlap_pos)),
    World("area by place", "areas by place in the sentence", PairWorld(_area_place)),
    World("overlap by place", "places in the sentence", PairWorld(_overlap_place)),
    World("function words broad", "large areas of function words", PairWorld(_function_words)),
    World(
        "undefined by part of speech",
        "masks that are empty by part of speech",
        PairWorld(_undefined),
    ),
    World("zeros 30 %", "nothing; 30 % of overlaps are 0", PairWorld(level=-1.35), neutral=True),
    World("zeros 85 %", "nothing; 85 % of overlaps are 0", PairWorld(level=-3.4), neutral=True),
    World("length", "the length of the prompt", PairWorld(_length)),
    World("subwords", "numbers of subwords", PairWorld(_subwords)),
    World("distance, exponential", "distance (exponential)", PairWorld(_exponential)),
    World("distance, linear", "distance (linear)", PairWorld(_linear)),
    World("distance, adjacent", "adjacency", PairWorld(_adjacent)),
    World(
        "whole images",
        "the image, in half of which parts of speech have no masks",
        PairWorld(_whole_images),
    ),
    World(
        "lemmas",
        "content words that recur",
        PairWorld(_lemmas),
        prompts="embedded",
        n_prompts=40,
        cluster=("prompt_id", "head_lemma"),
    ),
    World(
        "templates",
        "templates with effects of their own",
        PairWorld(_templates),
        n_prompts=36,
        groups=12,
        cluster="template",
    ),
    World(
        "one structure",
        "place and distance in one template",
        PairWorld(_slots),
        prompts="adjectives",
        n_prompts=16,
        n_images=4,
    ),
    World(
        "few prompts per relation",
        "parts of speech; each relation in few prompts",
        PairWorld(_overlap_pos),
        few=7,
        n_prompts=42,
    ),
    World(
        "maps: function words broad",
        "large areas of function words (maps)",
        MapWorld(_broad_function),
    ),
    World("maps: smoothness", "smoothness by part of speech (maps)", MapWorld(_smooth_pos)),
    World(
        "maps: causal encoder",
        "earlier words, whose maps later ones inherit",
        MapWorld(lambda layout, rng: Shapes(earlier=0.7)),
    ),
    World(
        "maps: competition",
        "competition in a softmax",
        MapWorld(lambda layout, rng: Shapes(compete=True)),
    ),
    World("maps: center", "the center", MapWorld(lambda layout, rng: Shapes(center=2.0))),
    World(
        "maps: center and area", "the center, with areas by part of speech", MapWorld(_center_pos)
    ),
    World(
        "maps: punctuation",
        "punctuation, which covers its head",
        MapWorld(_punctuation),
        exempt=("punct",),
    ),
)
"""Null worlds, besides noise."""

SIZES: Final[tuple[World, ...]] = tuple(
    replace(NOISE, name=f"noise, {n} prompts x {k}", n_prompts=n, n_images=k)
    for n, k in ((5, 8), (8, 6), (20, 4), (60, 2))
) + tuple(
    World(
        f"area, {n} prompts x {k}",
        "areas by part of speech",
        PairWorld(_area_pos),
        n_prompts=n,
        n_images=k,
    )
    for n, k in ((5, 8), (8, 6), (60, 2))
)

RANDOM_TREES: Final = World(
    "random trees",
    "parts of speech, distance, and place; edges at random",
    PairWorld(
        lambda layout, rng: Means(
            area=_area_pos(layout, rng).area,
            overlap=_exponential(layout, rng).overlap + _overlap_place(layout, rng).overlap,
        )
    ),
    permute=True,
)
"""Related and unrelated words differ in nothing but chance: how often does a recipe warn?"""

OF_STUDIES: Final = (
    World(
        "cohyponyms: lemmas",
        "nouns that recur",
        PairWorld(_lemmas),
        prompts="cohyponyms",
        n_prompts=72,
        study="cohyponyms",
    ),
    World(
        "adjectives: independent maps",
        "nothing (maps)",
        MapWorld(),
        prompts="adjectives",
        n_prompts=16,
        study="adjectives",
    ),
    World(
        "adjectives: center",
        "the center (maps)",
        MapWorld(lambda layout, rng: Shapes(center=2.0)),
        prompts="adjectives",
        n_prompts=16,
        study="adjectives",
    ),
    *(
        World(
            f"{name}: no difference",
            "prompts, images, and classes of words",
            prompts="embedded",
            study=name,
        )
        for name in (
            "words",
            "minimal pairs",
            "intervention",
            "contextless",
            "where is syntax",
            "retrieval",
            "sanity",
        )
    ),
    World(
        "verdicts: the prompt",
        "the words and objects of the prompt, measures and verdicts alike",
        prompts="embedded",
        n_prompts=60,
        n_images=3,
        study="verdicts",
    ),
    World(
        "verdicts: hidden",
        "the prompt, measures and verdicts alike, but on nothing counted of it; only differences "
        "within prompts are errors",
        prompts="embedded",
        n_prompts=60,
        n_images=3,
        study="verdicts",
        # Maps do tell what the features do not, as the page says; within prompts, they tell nothing.
        exempt=tuple(
            f"something is wrong: {name}, auc"
            for name in ("overlap", "binding", "neglect", "all maps")
        ),
    ),
)
"""Null worlds for the pages of studies."""

NULLS: Final = (NOISE, MAPS, RANDOM_TREES, *SHAPES, *SIZES, *OF_STUDIES)

TRUE: Final = (
    *(w.with_effect() for w in (NOISE, MAPS, *SHAPES, *SIZES)),
    NOISE.with_effect(name="true: amod only", about="amod", relations=("amod",)),
    replace(SHAPES[10], name="none").with_effect(
        name="true: amod only, distance", relations=("amod",)
    ),
    NOISE.with_effect(name="true: small", about="relations (half as much)", effect=0.5),
)

WORLDS: Final = {world.name: world for world in (*NULLS, *TRUE)}
"""All worlds by name."""
