"""Map all cases with all methods, and score them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.attribution.cases import Case, Maps, Scored, batches
from benchmarks.attribution.comparisons import estimate, minus_plain, winners
from benchmarks.attribution.mapping.methods import PLAIN, Method
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.scoring import (
    AGAINST_MASKS,
    OWN,
    POINTING,
    by_image,
    with_best_threshold,
)
from daam_syntax.errors import TraceError
from daam_syntax.util.progress import Progress
from daam_syntax.util.wording import one_line

SHARES = (OWN, POINTING)
"""Scores of hits and misses."""


class Runner:
    """Maps cases with methods, and leaves out methods that a model does not support.

    Parameters
    ----------
    methods
        The methods.
    bar
        Counts images.

    Attributes
    ----------
    problems
        Why a method was left out, by its name.
    seconds
        Processor time of each method, by its name.
    """

    def __init__(self, methods: Sequence[Method], bar: Progress) -> None:
        self.methods = list(methods)
        self.problems: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._bar = bar

    def maps(self, reader: Reader, cases: Sequence[Case]) -> dict[str, list[Maps]]:
        """Return the maps of all cases, by method; a method that fails once has none."""
        found: dict[str, list[Maps]] = {method.name: [] for method in self.methods}
        for part in parts_of_one_size(cases, reader.batch):
            for method in list(self.methods):
                started = time.process_time()
                try:
                    found[method.name] += method.compute(reader, part)
                except TraceError as error:
                    if method.name == PLAIN:  # which no model lacks: the images cannot be read
                        raise
                    self.problems[method.name] = one_line(error)
                    self.methods.remove(method)
                    del found[method.name]
                    continue
                taken = time.process_time() - started
                self.seconds[method.name] = self.seconds.get(method.name, 0.0) + taken
            self._bar.advance(len(part))
        return {method.name: found[method.name] for method in self.methods}


def parts_of_one_size(cases: Sequence[Case], batch: int) -> Iterator[Sequence[Case]]:
    """Yield consecutive cases of one size, at most `batch` at once."""
    for _, group in itertools.groupby(cases, key=lambda case: case.image.size):
        same = list(group)
        for part in batches(len(same), batch):
            yield same[part]


def score_masks(
    scored: Sequence[Scored], maps: dict[str, list[Maps]]
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, list[float]]]:
    """Score the maps of all methods against masks, by image; also return the chosen thresholds.

    Without any image, there are no scores.
    """
    scores, thresholds = {}, {}
    if not scored:
        return scores, thresholds
    for name, own in maps.items():
        scores[name], thresholds[name] = with_best_threshold(by_image(scored, own))
    return scores, thresholds


def summarized(
    scores: dict[str, dict[str, np.ndarray]],
    methods: Sequence[Method],
    names: Sequence[str],
    more: Callable[[str], dict[str, Any]] = lambda _: {},
    shares: Sequence[str] = SHARES,
) -> dict[str, Any]:
    """Return intervals, differences to the plain map, and winners.

    Parameters
    ----------
    scores
        The score of each image, by method and name of the score.
    methods
        The methods.
    names
        Names of the scores on which methods are compared.
    more
        Returns more entries of a method.
    shares
        Names of the scores of hits and misses.
    """
    by_name = {method.name: method for method in methods}
    differences = minus_plain(scores, names)
    return {
        "methods": {
            name: {
                "about": by_name[name].about,
                "reads of an image with two words": by_name[name].reads(2),
                "learned from masks": by_name[name].from_masks,
                "ignores the word": by_name[name].ignores_word,
                "scores": {
                    each: estimate(own[each], is_share=each in shares)
                    for each in names
                    if each in own
                },
                "minus plain": differences.get(name, {}),
                **more(name),
            }
            for name, own in scores.items()
        },
        "winners": winners(scores, methods, names),
    }


__all__ = ["AGAINST_MASKS", "SHARES", "Runner", "parts_of_one_size", "score_masks", "summarized"]
