"""Compare methods over images: intervals, differences to the plain map, and who wins."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy.stats import bootstrap, ttest_1samp

from benchmarks.attribution.mapping.methods import PLAIN, Method
from benchmarks.scene_means import mean_with_interval, share_with_interval

LEVEL: Final = 0.95
MEASURED: Final = 2
"""The least number of images for an interval."""


def estimate(values: np.ndarray, *, is_share: bool = False) -> dict[str, float]:
    """Average a score over the images that have it, with a 95 % interval.

    Parameters
    ----------
    values
        The score of each image; NaN where it has none. *Shape:* ``(image,)``.
    is_share
        Whether images have hits and misses, whose interval is Wilson's; others are bootstrapped over images.
    """
    known = values[~np.isnan(values)]
    if len(known) < MEASURED:
        mean = float(known.mean()) if len(known) else float("nan")
        return {"mean": mean, "low": float("nan"), "high": float("nan"), "n_scenes": len(known)}
    return share_with_interval(known) if is_share else mean_with_interval(known)


def ratio_of_sums(numerator: np.ndarray, denominator: np.ndarray) -> dict[str, float]:
    """Return the ratio of two sums over images, with a 95 % interval bootstrapped over images."""

    def ratio(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        total: np.ndarray = second.sum(axis=axis)
        return first.sum(axis=axis) / total

    interval = bootstrap(
        (numerator, denominator),
        ratio,
        paired=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return {
        "mean": float(ratio(numerator, denominator)),
        "low": float(interval.low),
        "high": float(interval.high),
        "n_scenes": len(numerator),
    }


def difference(first: np.ndarray, second: np.ndarray, level: float = LEVEL) -> dict[str, float]:
    """Return the mean difference of two methods on the same images, with a t interval.

    Raises
    ------
    ValueError
        If an image has the score of only one of the methods.
    """
    if (np.isnan(first) != np.isnan(second)).any():
        raise ValueError(
            "Expected the same images for both methods, but some have one of them only."
        )
    values = (first - second)[~np.isnan(first)]
    found = {"mean": float(values.mean()) if len(values) else float("nan"), "n_scenes": len(values)}
    if len(values) < MEASURED:
        return found | {"low": float("nan"), "high": float("nan")}
    if np.ptp(values) == 0:
        return found | {"low": found["mean"], "high": found["mean"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nearly equal values lose precision
        interval = ttest_1samp(values, 0.0).confidence_interval(level)
    return found | {"low": float(interval.low), "high": float(interval.high)}


def minus_plain(
    scores: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return each method's paired differences to the plain map, by score."""
    return {
        method: {name: difference(own[name], scores[PLAIN][name]) for name in names if name in own}
        for method, own in scores.items()
        if method != PLAIN
    }


def winner(scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Say which method is best on a score, and whether it beats every other one.

    The best by its mean wins if each of its paired differences to the other methods has an interval above 0. The
    intervals hold together with 95 % (Bonferroni, by the number of other methods).

    Parameters
    ----------
    scores
        The score of each image, by method. *Shape:* ``(image,)``.

    Returns
    -------
    dict
        The best method and the runner-up, their difference with its adjusted interval, the winner or None, and the
        methods that the best one does not beat.
    """
    means = {name: float(np.nanmean(values)) for name, values in scores.items()}
    best, *others = sorted(means, key=lambda name: -means[name])
    level = 1 - (1 - LEVEL) / max(1, len(others))
    found = {name: difference(scores[best], scores[name], level) for name in others}
    level_with = [name for name, each in found.items() if not each["low"] > 0]
    return {
        "best": best,
        "runner-up": others[0],
        "difference": found[others[0]],
        "level": level,
        "winner": None if level_with else best,
        "not beaten": level_with,
    }


def winners(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    methods: Sequence[Method],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return the winner of each score among the methods that did not learn from masks."""
    free = [each.name for each in methods if not each.from_masks and each.name in scores]
    result = {}
    for name in names:
        found = {method: scores[method][name] for method in free if name in scores[method]}
        if len(found) > 1 and all(np.isfinite(values).any() for values in found.values()):
            result[name] = winner(found)
    return result
