"""Worlds of maps: random maps of words on a small grid, measured as recorded maps are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.null_worlds.pair_worlds import MEASURES
from benchmarks.null_worlds.prompts import THRESHOLD, Layout
from daam_syntax.maps import HeatMaps, Subword, parse_threshold
from daam_syntax.maps.measures import PAIR_MEASURES, PackedMasks, measure_masks

GRID: Final = 16


@dataclass(frozen=True)
class Shapes:
    """How the maps of the words of a study are made, word by word.

    Attributes
    ----------
    width
        Width of the spots of which the map of a word consists, in pixels.
    peak
        How much higher the map is where it is high; a high peak gives a small mask.
    center
        How much the map prefers the center.
    earlier
        Share of its map that a word inherits from the words before it (a causal text encoder).
    compete
        Whether the maps of the words of an image are one softmax, together with a start token.
    copy
        Share of its head's map that each word copies without being related. *Shape:* ``(word,)``.
    """

    width: Any = 2.0
    peak: Any = 1.2
    center: Any = 0.0
    earlier: float = 0.0
    compete: bool = False
    copy: Any = 0.0


@dataclass(frozen=True)
class MapWorld:
    """A world of maps.

    Attributes
    ----------
    shapes
        Returns how maps are made, given a layout and a generator.
    """

    shapes: Callable[[Layout, np.random.Generator], Shapes] = lambda layout, rng: Shapes()

    def draw(
        self, layout: Layout, seed: list[int], effect: np.ndarray, n_twins: int = 0
    ) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
        """Draw the pair table of a study, and twins of its pairs.

        Parameters
        ----------
        layout, seed, n_twins
            See `PairWorld.draw`.
        effect
            Share of the head's map that the dependent of each pair copies. *Shape:* ``(pair,)``.
        """
        maps = self.maps(layout, seed, effect)
        twins = [self.maps(layout, [*seed, 1 + k], 0 * effect) for k in range(n_twins)]
        return layout.table.assign(**_measured(maps, layout)), [_measured(m, layout) for m in twins]

    def maps(self, layout: Layout, seed: list[int], effect: np.ndarray) -> np.ndarray:
        """Draw the maps of all words. *Shape:* ``(word, y, x)``."""
        rng = np.random.default_rng(seed)
        shapes = self.shapes(layout, rng)
        words = layout.words
        n = len(words)
        fields = _smooth(np.broadcast_to(shapes.width, n), rng)
        index = words["index"].to_numpy()
        if shapes.earlier:
            # A word mixes its own field with the mean of those of the words before it.
            total = np.zeros_like(fields)
            for place in range(index.max() + 1):
                rows = np.flatnonzero(index == place)
                if place:
                    before = total[rows - 1] / np.sqrt(place)
                    kept = np.sqrt(1 - shapes.earlier**2)
                    fields[rows] = kept * fields[rows] + shapes.earlier * before
                    total[rows] = total[rows - 1]
                total[rows] += fields[rows]
        share = np.zeros(n)
        head_of = np.arange(n)
        joined = layout.related
        head_of[layout.dependent[joined]] = layout.head[joined]
        share[layout.dependent[joined]] = effect[joined]
        share = np.maximum(share, np.broadcast_to(shapes.copy, n))
        mixed = np.flatnonzero(share > 0)
        own = fields.copy()
        fields[mixed] = (
            np.sqrt(1 - share[mixed, None, None] ** 2) * own[mixed]
            + share[mixed, None, None] * own[head_of[mixed]]
        )
        y, x = (np.indices((GRID, GRID)) + 0.5) / GRID - 0.5
        middle = np.exp(-(x**2 + y**2) / 0.08)
        column = (slice(None), None, None)
        logits = np.broadcast_to(shapes.peak, n)[column] * fields
        logits = logits + np.broadcast_to(shapes.center, n)[column] * middle
        if not shapes.compete:
            return np.exp(logits)
        image = words["image"].to_numpy()
        weights = np.exp(logits)
        sums = np.zeros((image.max() + 1, GRID, GRID))
        np.add.at(sums, image, weights)
        start = 0.5 * words.groupby("image").size().to_numpy()[:, None, None]
        return np.asarray(weights / (sums + start)[image])


def _smooth(width: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random fields of unit variance. *Shape:* ``(word, y, x)``.

    Parameters
    ----------
    width
        Width of the spots, in pixels. *Shape:* ``(word,)``.
    """
    # Noise on a torus of which the field is a part, so that opposite edges are not alike.
    n, side = len(width), GRID + GRID // 2
    noise = rng.normal(size=(n, side, side)).astype(np.float32)
    squares = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2
    found = np.empty((n, GRID, GRID), np.float32)
    for value in np.unique(width):
        rows = np.flatnonzero(width == value)
        kernel = np.exp(-2 * (np.pi * value) ** 2 * squares)
        spread = np.sqrt((np.fft.irfft2(kernel, s=(side, side)) ** 2).sum())
        fields = np.fft.irfft2(np.fft.rfft2(noise[rows]) * kernel, s=(side, side))
        found[rows] = fields[:, :GRID, :GRID] / spread
    return found


def _measured(maps: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    masks = PackedMasks(parse_threshold(THRESHOLD).apply(maps))
    chosen = [PAIR_MEASURES[name] for name in MEASURES]
    return measure_masks(masks, layout.head, layout.dependent, chosen)


def heat_maps(maps: np.ndarray, layout: Layout) -> list[HeatMaps]:
    """Return the maps of a study as `HeatMaps`, for controls that need them."""
    found, first = [], 0
    for number, sentence in enumerate(layout.sample):
        subwords = [Subword(t.index + 1, t.text, t.start, t.end) for t in sentence.tokens]
        for seed in range(layout.n_images):
            values = maps[first : first + len(sentence)]
            first += len(sentence)
            found.append(
                HeatMaps(
                    xr.DataArray(values, dims=("token", "y", "x")),
                    subwords,
                    sentence,
                    (GRID, GRID),
                    provenance={"prompt_id": f"p{number:03}", "seed": seed},
                )
            )
    return found
