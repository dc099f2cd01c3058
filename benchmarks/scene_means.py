"""Means over scenes with intervals: the scene is the sample, so the words of a scene are averaged first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint


def average_scenes(scenes: Sequence[int], values: Sequence[float]) -> np.ndarray:
    """Average the values of each scene.

    Parameters
    ----------
    scenes, values
        Number of the scene, and value, of each word.

    Returns
    -------
    numpy.ndarray
        Means, in the order in which scenes first occur. *Shape:* ``(scene,)``.
    """
    by_scene: dict[int, list[float]] = {}
    for scene, value in zip(scenes, values, strict=True):
        by_scene.setdefault(scene, []).append(float(value))
    return np.array([np.mean(found) for found in by_scene.values()])


def mean_with_interval(means: np.ndarray) -> dict[str, float]:
    """Average the means of scenes, with a 95 % percentile interval bootstrapped over scenes."""
    interval = bootstrap(
        (means,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return {
        "mean": float(means.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "n_scenes": len(means),
    }


def share_with_interval(shares: np.ndarray) -> dict[str, float]:
    """Average the shares of scenes, from 0 to 1, with a 95 % Wilson interval whose trials are the scenes.

    A bootstrap of shares that are all 1 gives an interval without width. Shares of several words vary less than the
    trials that Wilson supposes, so the interval is wide enough for them, too.
    """
    mean, n = float(shares.mean()), len(shares)
    low, high = proportion_confint(mean * n, n, method="wilson")
    # Rounding must not leave the mean outside.
    return {
        "mean": mean,
        "low": min(float(low), mean),
        "high": max(float(high), mean),
        "n_scenes": n,
    }
