"""Measuring some images of a run: when they are drawn, and when the run is analysed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from daam_syntax.analysis import measure_pairs, word_table
from daam_syntax.maps import HeatMaps


def measured(
    maps: Sequence[HeatMaps],
    numbers: Sequence[int],
    *,
    thresholds: Sequence[str],
    schemes: Sequence[str],
    **options: Any,
) -> dict[str, pd.DataFrame]:
    """Return the tables of pairs and words of some images; no table where there is none.

    Parameters
    ----------
    maps
        Their maps, as they are stored.
    numbers
        Their running numbers in the run.
    thresholds, schemes
        Rules that make masks, and whose edges.
    **options
        More of `measure_pairs`.
    """
    if not maps:
        return {}
    pairs = measure_pairs(maps, threshold=list(thresholds), schemes=schemes, **options)
    words = pd.concat([word_table(maps, threshold=rule) for rule in thresholds], ignore_index=True)
    frames = {"pairs": pairs, "words": words}
    return {
        name: frame.assign(image=[numbers[number] for number in frame["image"]])
        for name, frame in frames.items()
    }
