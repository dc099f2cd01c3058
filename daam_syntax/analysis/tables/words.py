"""The word table: every token of the parse in every image, with or without a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.identity import (
    image_columns,
    with_map_kind,
    without_plain_kind,
)
from daam_syntax.analysis.tables.image_batches import Batch, batches
from daam_syntax.maps import HeatMaps, Threshold, parse_threshold
from daam_syntax.maps.measures import BREADTH_MEASURES, Measure, choose
from daam_syntax.util.arguments.checks import OWN, checked

BREADTH: Final = ("effective_area",)
"""Measures of breadth in the word table by default, among `BREADTH_MEASURES`."""

WORD_COLUMNS: Final = {
    "prompt_id": "Short name of the prompt, the same in every run",
    "prompt": "The prompt's text",
    "image": "Number of the image in the measured list, from 0",
    "seed": "Seed of the image (in a run, the seed index); missing if unknown",
    "index": "Index of the token in the parse",
    "word": "Text of the token",
    "lemma": "Lemma of the token",
    "pos": "Universal part of speech of the token",
    "status": '"mapped", "truncated" (the encoder stopped before it) or "unaligned"',
    "reason": 'Why the token has no map, or only part of one; "" if its map is complete',
    "subwords": "Subwords of the token as the tokenizer writes them, separated by |",
    "n_subwords": "Number of subwords",
    "mean": "Mean attention probability over the grid of the recording",
    "max": "Largest mean attention probability on the grid of the recording",
    "peak_y": "Center of the cell with the largest value, as a share of the height from the top",
    "peak_x": "Center of the cell with the largest value, as a share of the width from the left",
    **{name: BREADTH_MEASURES[name].description for name in BREADTH},
    "threshold": "Rule that made the mask",
    "area": "Share of the image that the mask covers",
}
"""Columns of the word table and their meanings. Other measures take the place of those of `BREADTH`."""


@checked(maps=OWN)
def word_table(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    threshold: str | Threshold = "relative:0.4",
    breadth: str | Iterable[str] = BREADTH,
) -> pd.DataFrame:
    """Tabulate every token of every image.

    Means, peaks, and breadth are computed on the grid of the recording. Only the mask is that of the upscaled map, as
    in the pair table.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    threshold
        Rule that converts maps to masks. See `parse_threshold`.
    breadth
        Names of measures of breadth, among `BREADTH_MEASURES`.

    Returns
    -------
    pandas.DataFrame
        One row per image and token, with the columns of `WORD_COLUMNS`, and ``map_kind`` as in `measure_pairs`. Values
        are NaN where there is no map, or where a measure is undefined (a map of zeros has no breadth).

    Raises
    ------
    ThresholdError
        If the rule is unknown.
    ValueError
        If a measure is unknown.
    """
    wanted = WordOptions(threshold, breadth)
    rows = [row for batch in batches(maps) for row in word_rows(batch, wanted)]
    return without_plain_kind(pd.DataFrame(rows, columns=wanted.columns))


class WordOptions:
    """Validated options of a word table; the parameters are those of `word_table`."""

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
        self.columns = with_map_kind([*columns[:place], *names, *columns[place:]])


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
    """Return, for each word with a map, the columns that are computed on the grid of the recording."""
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
