"""A world of studies, and a study that is drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from benchmarks.null_worlds.map_worlds import MapWorld
from benchmarks.null_worlds.pair_worlds import PairWorld
from benchmarks.null_worlds.prompts import Layout, layout, permuted, sentences

N_TWINS: Final = 3

_NOTHING: Final = PairWorld()


@dataclass(frozen=True)
class World:
    """A world of studies.

    Attributes
    ----------
    name
        Short name.
    about
        What overlap depends on, as half a sentence.
    source
        How areas and overlaps, or maps, are drawn.
    prompts
        Set of prompts, see `SETS`.
    n_prompts, n_images
        Size of a study; fewer prompts if the set is smaller.
    effect
        What being related adds: to z, or the share of the head's map that its dependent copies.
    relations
        Relations with that effect; None for all.
    neutral
        Whether related and unrelated words differ in nothing that matters, so a claim about "relation plus" something
        is wrong, too.
    permute
        Whether words of one part of speech trade places in the tree, so that relations have no typical distance.
    few
        Number of prompts per relation: relations get different names in different groups of prompts.
    groups
        Number of templates of the prompts; 0 if each prompt is its own.
    cluster
        The independent units that the documentation recommends for such prompts.
    exempt
        Relations, or rows of a page, that do have an effect, although no word is related.
    study
        Name of the study whose page is tried with its own prompts; no other recipe is. "" for all other recipes.
    """

    name: str
    about: str
    source: PairWorld | MapWorld = _NOTHING
    prompts: str = "real"
    n_prompts: int = 24
    n_images: int = 2
    effect: float = 0.0
    relations: tuple[str, ...] | None = None
    neutral: bool = False
    permute: bool = False
    few: int = 0
    groups: int = 0
    cluster: str | tuple[str, str] = "prompt_id"
    exempt: tuple[str, ...] = ()
    study: str = ""

    @property
    def has_maps(self) -> bool:
        """Whether there are maps."""
        return isinstance(self.source, MapWorld)

    def with_effect(self, **changes: object) -> World:
        """Return a world in which relations have an effect, too."""
        effect = 0.7 if self.has_maps else 1.0
        about = f"relations; {self.about}" if self.name != "noise" else "relations"
        named = f"true: {self.name}"
        return replace(self, **{"name": named, "about": about, "effect": effect, **changes})


@dataclass(frozen=True)
class Study:
    """A simulated study.

    Attributes
    ----------
    world
        Its world.
    layout
        Its words and pairs.
    pairs
        The pair table.
    twins
        Measures of the same pairs without the effect of relations, drawn again.
    maps
        Maps of the words, if the world has maps. *Shape:* ``(word, y, x)``.
    """

    world: World
    layout: Layout
    pairs: pd.DataFrame
    twins: list[dict[str, np.ndarray]]
    seed: list[int]
    affected: np.ndarray

    def maps(self) -> np.ndarray:
        """Return the maps of the words. *Shape:* ``(word, y, x)``."""
        assert isinstance(self.world.source, MapWorld)
        return self.world.source.maps(self.layout, self.seed, self.affected)


def draw(world: World, number: int, n_twins: int = 0) -> Study:
    """Draw a study.

    Parameters
    ----------
    world
        Its world.
    number
        Number of the study; the same number gives the same study.
    n_twins
        Number of twins.
    """
    seed = [number, *map(ord, world.name)]
    rng = np.random.default_rng(seed)
    pool = sentences(world.prompts)
    n = min(world.n_prompts, len(pool))
    sample = [pool[i] for i in rng.choice(len(pool), n, replace=False)]
    if world.permute:
        sample = [permuted(sentence, rng) for sentence in sample]
    names = [f"t{i % world.groups:02}" for i in range(n)] if world.groups else []
    found = layout(sample, world.n_images, names)
    if world.few:
        number_of = found.table["prompt_id"].str[1:].astype(int) // world.few
        label = found.table["relation"] + ":" + number_of.astype(str)
        found.table["relation"] = label.where(found.related, "unrelated")
    affected = found.related.copy()
    if world.relations is not None:
        affected &= found.table["relation"].isin(world.relations).to_numpy()
    effect = world.effect * affected
    pairs, twins = world.source.draw(found, [*seed, 1], effect, n_twins)
    return Study(world, found, pairs, twins, [*seed, 1], effect)
