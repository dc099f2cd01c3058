"""Measure images of a run, both when they are drawn and when the run is reanalyzed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis import measure_pairs, word_table
from daam_syntax.maps import HeatMaps

_PAIRS_AT_ONCE: Final = 20_000  # about 100 MB; one image of 500 words has six times as many


def measure_images(
    maps: Sequence[HeatMaps],
    numbers: Sequence[int],
    *,
    thresholds: Sequence[str],
    schemes: Sequence[str],
    **options: Any,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield tables of pairs and words, each with its name, for so few images at a time that memory is bounded.

    Parameters
    ----------
    maps
        Heat maps of the images, as they are stored.
    numbers
        Numbers of the images in the run.
    thresholds
        Threshold rules.
    schemes
        Dependency schemes whose edges are measured.
    **options
        Further arguments of `measure_pairs`.
    """
    for group in _groups([len(each) for each in maps]):
        some, own = maps[group], numbers[group]
        pairs = measure_pairs(some, threshold=list(thresholds), schemes=schemes, **options)
        words = pd.concat(
            [word_table(some, threshold=rule) for rule in thresholds], ignore_index=True
        )
        for name, frame in (("pairs", pairs), ("words", words)):
            yield name, frame.assign(image=[own[number] for number in frame["image"]])


def _groups(n_words: Sequence[int]) -> Iterator[slice]:
    """Split consecutive images into groups with a limited number of word pairs, at least one image each."""
    start = n_pairs = 0
    for number, n in enumerate(n_words):
        own = n * (n - 1) // 2
        if number > start and n_pairs + own > _PAIRS_AT_ONCE:
            yield slice(start, number)
            start, n_pairs = number, 0
        n_pairs += own
    if n_words:
        yield slice(start, len(n_words))
