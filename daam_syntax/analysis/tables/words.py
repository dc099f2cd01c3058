"""The word table: every token of the parse in every image, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.identity import image_columns
from daam_syntax.analysis.tables.image_batches import Batch, batches
from daam_syntax.maps import HeatMaps, Threshold, parse_threshold
from daam_syntax.maps.measures import BREADTH_MEASURES, Measure, choose

BREADTH: Final = ("effective_area",)
"""Columns of the word table that hold measures of breadth, unless others are asked for: see `BREADTH_MEASURES`."""

WORD_COLUMNS: Final = {
    "prompt_id": "Short name of the prompt, the same in every run",
    "prompt": "The prompt's text",
    "image": "Running number of the image in the list that was measured",
    "seed": "Number of the seed; missing where it is not known",
    "index": "Index of the token in the parse",
    "word": "Its text",
    "lemma": "Its lemma",
    "pos": "Its universal part of speech",
    "status": '"mapped", "truncated" (the encoder stopped before it) or "unaligned"',
    "reason": "Why it has no map, or only part of one",
    "subwords": "Its subwords as the tokenizer writes them, separated by |",
    "n_subwords": "Their number",
    "mean": "Mean attention probability over the grid of the recording",
    "max": "Largest mean attention probability on that grid",
    "peak_y": "Centre of the cell where that is, share of the height from the top",
    "peak_x": "Centre of the cell where that is, share of the width from the left",
    **{name: BREADTH_MEASURES[name].description for name in BREADTH},
    "threshold": "Rule that made the mask",
    "area": "Share of the image that the mask covers",
}
"""Columns of the word table and their meanings; with other measures, their names stand in the place of `BREADTH`."""


def word_table(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    threshold: str | Threshold = "relative:0.4",
    breadth: str | Iterable[str] = BREADTH,
) -> pd.DataFrame:
    """Tabulate every token of every image.

    Means, peaks and breadth are those of the recording itself; only the mask is of the upscaled map, as in the
    pair table.

    Parameters
    ----------
    maps
        The maps of one image, or of several.
    threshold
        Rule that makes masks of the maps. See `parse_threshold`.
    breadth
        Names of measures of how widely a word's map spreads, of `BREADTH_MEASURES`.

    Returns
    -------
    pandas.DataFrame
        One row per image and token, with the columns of `WORD_COLUMNS`; NaN where there is no map, or where the
        measure is not defined (a map of zeros has no breadth).

    Raises
    ------
    ThresholdError
        If there is no such rule.
    ValueError
        If there is no such measure.
    """
    wanted = WordOptions(threshold, breadth)
    rows = [row for batch in batches(maps) for row in word_rows(batch, wanted)]
    return pd.DataFrame(rows, columns=wanted.columns)


class WordOptions:
    """What a word table shall hold, checked; the parameters are those of `word_table`."""

    def __init__(
        self,
        threshold: str | Threshold = "relative:0.4",
        breadth: str | Iterable[str] = BREADTH,
    ) -> None:
        self.rule = parse_threshold(threshold)
        self.breadth: list[Measure] = choose(breadth, BREADTH_MEASURES)
        names = [measure.name for measure in self.breadth]
        columns = [name for name in WORD_COLUMNS if name not in BREADTH]
        place = columns.index("threshold")
        self.columns = [*columns[:place], *names, *columns[place:]]


def word_rows(batch: Batch, wanted: WordOptions) -> list[dict[str, Any]]:
    """Return the rows of the word table for a batch of images."""
    masks = batch.masks(wanted.rule)
    areas = masks.areas / masks.n_pixels
    rows = []
    for number, maps, row_of in zip(batch.numbers, batch.images, batch.rows, strict=True):
        recorded = _of_recording(maps, wanted.breadth)
        for word in maps.words:
            token = maps.sentence[word.index]
            row = {
                **image_columns(maps, number),
                "index": word.index,
                "word": token.text,
                "lemma": token.lemma,
                "pos": token.pos,
                "status": word.status,
                "reason": word.reason,
                "subwords": "|".join(maps.subwords[i].text for i in word.subwords),
                "n_subwords": len(word.subwords),
                "threshold": str(wanted.rule),
            }
            if word.index in row_of:
                row |= {**recorded[word.index], "area": float(areas[row_of[word.index]])}
            rows.append(row)
    return rows


def _of_recording(maps: HeatMaps, breadth: Sequence[Measure]) -> dict[int, dict[str, float]]:
    """Return, for each word with a map, what the recording itself says of it."""
    recorded = maps.stack()
    height, width = maps.grid
    flat = recorded.reshape(len(recorded), height * width)
    y, x = np.unravel_index(flat.argmax(axis=1), (height, width))
    columns = {
        "mean": flat.mean(axis=1),
        "max": flat.max(axis=1),
        "peak_y": (y + 0.5) / height,
        "peak_x": (x + 0.5) / width,
        **{measure.name: measure.function(recorded) for measure in breadth},
    }
    return {
        index: {name: float(values[row]) for name, values in columns.items()}
        for row, index in enumerate(maps.mapped)
    }
