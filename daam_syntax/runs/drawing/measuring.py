"""Measuring some images of a run: when they are drawn, and when the run is analysed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis import measure_pairs, word_table
from daam_syntax.maps import HeatMaps

_PAIRS_AT_ONCE: Final = 20_000  # a hundred megabytes; an image of 500 words has six times as many


def measured(
    maps: Sequence[HeatMaps],
    numbers: Sequence[int],
    *,
    thresholds: Sequence[str],
    schemes: Sequence[str],
    **options: Any,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield tables of pairs and words of some images, with their names, so many at a time that memory is bounded.

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
    for some in _parts([len(each) for each in maps]):
        group, own = maps[some], numbers[some]
        pairs = measure_pairs(group, threshold=list(thresholds), schemes=schemes, **options)
        words = pd.concat(
            [word_table(group, threshold=rule) for rule in thresholds], ignore_index=True
        )
        for name, frame in (("pairs", pairs), ("words", words)):
            yield name, frame.assign(image=[own[number] for number in frame["image"]])


def _parts(n_words: Sequence[int]) -> Iterator[slice]:
    """Divide images into runs of at least one whose words make not too many pairs."""
    start = n_pairs = 0
    for number, n in enumerate(n_words):
        own = n * (n - 1) // 2
        if number > start and n_pairs + own > _PAIRS_AT_ONCE:
            yield slice(start, number)
            start, n_pairs = number, 0
        n_pairs += own
    if n_words:
        yield slice(start, len(n_words))
