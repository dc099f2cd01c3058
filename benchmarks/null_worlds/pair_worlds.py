"""Worlds without maps: areas of words, and the overlap of pairs, drawn as numbers.

The overlap of two masks lies between none, what independent masks share, and one mask inside the other. A normal
variable z says where. It is the sum of effects of the prompt, the image, the words, and the pair, and of what the world
is about. From areas and overlap follow all measures of masks, so they fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks.null_worlds.prompts import Layout
from daam_syntax.maps.measures import PAIR_MEASURES

MEASURES: Final = (
    "iou",
    "iod",
    "ioh",
    "head_area",
    "dependent_area",
    "log_area_ratio",
    "phi",
)
N_PIXELS: Final = 1024

BY_POS: Final = {
    "NOUN": 0.3,
    "PROPN": 0.4,
    "VERB": -0.3,
    "ADJ": 0.8,
    "ADP": 1.2,
    "DET": 1.5,
    "NUM": -0.8,
    "CCONJ": 1.3,
    "PRON": 1.0,
    "AUX": 1.1,
    "PUNCT": 1.6,
}
"""An effect of the part of speech, as large as the deviation between words or larger."""


@dataclass(frozen=True)
class Means:
    """What a world adds to what all worlds have.

    Attributes
    ----------
    area
        Added to the log odds of each word's area. *Shape:* ``(word,)``, or a number.
    overlap
        Added to z. *Shape:* ``(pair,)``, or a number.
    missing
        Probability that a word's mask is empty. *Shape:* ``(word,)``, or a number.
    image
        Added to z of all pairs of an image. *Shape:* ``(image,)``, or a number.
    """

    area: Any = 0.0
    overlap: Any = 0.0
    missing: Any = 0.0
    image: Any = 0.0


@dataclass(frozen=True)
class PairWorld:
    """A world of areas and overlaps.

    Attributes
    ----------
    means
        Returns what the world adds, given a layout and a generator.
    level
        Mean of z. About 20 % of the overlaps are 0 at the default.
    """

    means: Callable[[Layout, np.random.Generator], Means] = lambda layout, rng: Means()
    level: float = -1.0

    def draw(
        self, layout: Layout, seed: list[int], effect: np.ndarray, n_twins: int = 0
    ) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
        """Draw the pair table of a study, and twins of its pairs.

        Parameters
        ----------
        layout
            The words and pairs.
        seed
            Seed of the study.
        effect
            What is added to z because words are related. *Shape:* ``(pair,)``.
        n_twins
            Number of twins.

        Returns
        -------
        tuple
            The pair table; and of each twin, the measures of the same pairs without the effect of relations: words,
            prompts, images, and what the world is about are the same, the noise of the pairs is drawn again.
        """
        rng = np.random.default_rng(seed)
        words, head, dependent = layout.words, layout.head, layout.dependent
        world = self.means(layout, rng)
        slot, image = words["slot"].to_numpy(), words["image"].to_numpy()
        n_slots, n_images = slot.max() + 1, image.max() + 1
        prompt_of = words["prompt"].to_numpy()
        n_prompts = prompt_of.max() + 1
        area = -1.2 + world.area + rng.normal(0, 0.3, n_prompts)[prompt_of]
        area = area + rng.normal(0, 0.4, n_slots)[slot] + rng.normal(0, 0.4, len(words))
        area = np.where(rng.random(len(words)) < world.missing, -np.inf, area)
        pixels = np.rint(N_PIXELS * expit(area))
        of_word = rng.normal(0, 0.3, n_slots)[slot] + rng.normal(0, 0.3, len(words))
        fixed = self.level + world.overlap + rng.normal(0, 0.5, n_prompts)[prompt_of[head]]
        fixed = fixed + (rng.normal(0, 0.3, n_images) + world.image)[image[head]]
        fixed = fixed + of_word[head] + of_word[dependent]

        def measured(z: np.ndarray) -> dict[str, np.ndarray]:
            noise = rng.normal(0, 0.4, layout.couples.max() + 1)[layout.couples]
            z = z + noise + rng.normal(0, 0.8, len(head))
            return measures(z, pixels[head], pixels[dependent])

        table = layout.table.assign(**measured(fixed + effect))
        return table, [measured(fixed) for _ in range(n_twins)]


def measures(z: np.ndarray, head: np.ndarray, dependent: np.ndarray) -> dict[str, np.ndarray]:
    """Return measures of masks from z and from areas in pixels. *Shape:* ``(pair,)`` each."""
    by_chance = head * dependent / N_PIXELS
    r = 1.3 * expit(z) - 0.3
    above = by_chance + np.minimum(r, 1) * (np.minimum(head, dependent) - by_chance)
    below = by_chance * np.maximum(1 + r / 0.15, 0)
    shared = np.rint(np.where(r > 0, above, below))
    least = np.maximum(head + dependent - N_PIXELS, 0)
    shared = np.clip(shared, least, np.minimum(head, dependent))
    return {
        name: PAIR_MEASURES[name].function(shared, head, dependent, N_PIXELS) for name in MEASURES
    }


def by_pos(words: pd.DataFrame, effects: Mapping[str, float] = BY_POS) -> np.ndarray:
    """Return an effect of the part of speech of each word."""
    return words["pos"].map(effects).fillna(0.0).to_numpy(float)
