"""The word table: every token of the parse in every image, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.identity import image_columns
from daam_syntax.maps import HeatMaps, Threshold, bicubic, parse_threshold

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
    "threshold": "Rule that made the mask",
    "area": "Share of the image that the mask covers",
}
"""Columns of the word table and their meanings."""


def word_table(
    maps: HeatMaps | Sequence[HeatMaps], *, threshold: str | Threshold = "relative:0.4"
) -> pd.DataFrame:
    """Tabulate every token of every image.

    Means and peaks are those of the recording itself; only the mask is of the upscaled map, as in the
    pair table.

    Parameters
    ----------
    maps
        The maps of one image, or of several.
    threshold
        Rule that makes masks of the maps.

    Returns
    -------
    pandas.DataFrame
        One row per image and token, with the columns of `WORD_COLUMNS`; NaN where there is no map.
    """
    images = [maps] if isinstance(maps, HeatMaps) else list(maps)
    rule = parse_threshold(threshold)
    rows = [row for number, image in enumerate(images) for row in _rows(image, number, rule)]
    return pd.DataFrame(rows, columns=list(WORD_COLUMNS))


def _rows(maps: HeatMaps, number: int, rule: Threshold) -> list[dict[str, Any]]:
    recorded = maps.stack()
    areas = rule.apply(bicubic(recorded, maps.image_size)).mean(axis=(1, 2))
    row_of = {index: row for row, index in enumerate(maps.mapped)}
    rows = []
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
            "threshold": str(rule),
        }
        if word.index in row_of:
            values = recorded[row_of[word.index]]
            y, x = np.unravel_index(int(values.argmax()), values.shape)
            row |= {
                "mean": float(values.mean()),
                "max": float(values.max()),
                "peak_y": (y + 0.5) / values.shape[0],
                "peak_x": (x + 0.5) / values.shape[1],
                "area": float(areas[row_of[word.index]]),
            }
        rows.append(row)
    return rows
