"""Intervals for means of clusters, as pure functions of arrays.

Every function takes the sum of each cluster and, where needed, its number of prompts (by default 1). The estimate is
the total of the sums divided by the total of the numbers, which is the mean over prompts. Leading axes are separate
data sets, which lets simulations run many at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

IntervalMethod = Literal["studentized", "t", "bca", "percentile"]
"""Method of an interval, see `interval`."""

_TINY: Final = 1e-9
"""A spread below this share of the largest value is rounding error."""

_KEPT: Final = 2**22
"""Largest matrix of draws that is kept for the next estimate, in numbers: 32 MB."""

_KEPT_AS_BYTES: Final = 2**26
"""Largest matrix of draws that is kept in whole numbers of one byte, 64 MB: groups of one run have equal clusters."""

_AT_ONCE: Final = 2**20
"""Size of the parts of larger matrices, in numbers: memory does not grow with the number of clusters."""


def mean_and_error(sums: ArrayLike, counts: ArrayLike = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over prompts and its standard error, with clusters as the sample.

    Parameters
    ----------
    sums
        Sum of the prompts' values in each cluster. *Shape:* ``(..., cluster)``.
    counts
        Number of prompts in each cluster, broadcast to `sums`.

    Returns
    -------
    tuple of numpy.ndarray
        Mean and standard error. *Shape:* ``(...)`` each. The error is that of a ratio by linearization (Cochran 1977,
        section 6.4) with divisor cluster - 1, which for one prompt per cluster equals s / sqrt(n).
    """
    sums, counts = np.broadcast_arrays(np.asarray(sums, float), np.asarray(counts, float))
    n, total = sums.shape[-1], counts.sum(axis=-1)
    mean = sums.sum(axis=-1) / total
    residuals = sums - mean[..., None] * counts
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(n / np.float64(n - 1) * (residuals**2).sum(axis=-1)) / total
    scale = np.abs(sums).max(axis=-1, initial=0.0)
    return mean, np.where(error * total <= _TINY * scale, 0.0, error)


def interval(
    sums: ArrayLike,
    counts: ArrayLike = 1,
    *,
    method: IntervalMethod = "studentized",
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a confidence interval of the mean over prompts.

    Parameters
    ----------
    sums, counts
        See `mean_and_error`.
    method
        "studentized": symmetric studentized (bootstrap-t) cluster bootstrap (Hall 1988). It keeps its level with 8 to
        60 prompts, even for skewed values with many zeros (docs/calibration.md). "t": Student's t with cluster - 1
        degrees of freedom. "bca" and "percentile" (scipy): too narrow with few prompts.
    level
        Confidence level.
    n_resamples
        Number of bootstrap samples.
    seed
        Seed of the bootstrap.

    Returns
    -------
    tuple of numpy.ndarray
        Low and high ends. *Shape:* ``(...)`` each. Infinite where the values are too few or too similar to bound the
        mean.
    """
    if n_resamples < 1:
        raise ValueError(f"Expected at least one bootstrap sample, but got {n_resamples}.")
    sums, counts = np.broadcast_arrays(np.asarray(sums, float), np.asarray(counts, float))
    if method == "bca" or method == "percentile":  # spelled out for the type checker
        return _scipy_interval(sums, counts, method, level, n_resamples, seed)
    mean, error = mean_and_error(sums, counts)
    if method == "t":
        critical = np.full(mean.shape, scipy.stats.t.ppf((1 + level) / 2, sums.shape[-1] - 1))
    elif method == "studentized":
        critical = _critical_value(sums, counts, level, n_resamples, seed)
    else:
        raise ValueError(
            f'Expected the method "studentized", "t", "bca" or "percentile", but got {method!r}.'
        )
    with np.errstate(invalid="ignore"):
        half = np.where(error > 0, critical * error, np.inf)
    return mean - half, mean + half


def _critical_value(
    sums: np.ndarray, counts: np.ndarray, level: float, n_resamples: int, seed: int
) -> np.ndarray:
    """Return the quantile of abs(t) over bootstrap samples of clusters. *Shape:* ``(...)``."""
    n = sums.shape[-1]
    mean, _ = mean_and_error(sums, counts)
    # Squared residuals from the mean of each bootstrap sample are expanded into sums over clusters, which avoids an
    # array of shape (..., cluster, resample).
    centered = sums - mean[..., None] * counts
    columns = np.stack([counts, sums, centered**2, centered * counts, counts**2])
    totals, drawn, squares, products, weights = _sums_of_samples(columns, n_resamples, seed)
    means = drawn / totals
    shift = means - mean[..., None]
    squares = squares - 2 * shift * products + shift**2 * weights
    scale = np.abs(centered).max(axis=-1, initial=0.0)[..., None]
    errors = np.sqrt(n / (n - 1) * np.maximum(squares, 0)) / totals
    # Rounding error of a difference of sums of squares, each up to n times the largest square.
    flat = squares <= 1e-12 * n * scale**2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(shift) / errors
    # Equal values give no error: t is infinite, or 0 if the bootstrap sample has the observed mean.
    t = np.where(flat, np.where(np.abs(shift) <= _TINY * scale, 0.0, np.inf), t)
    return np.asarray(np.quantile(t, level, axis=-1, method="inverted_cdf"))


def _sums_of_samples(columns: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Return sums over bootstrap samples of clusters.

    Parameters
    ----------
    columns
        Values to add up. *Shape:* ``(..., cluster)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(..., resample)``.
    """
    n = columns.shape[-1]
    if n * n_resamples <= _KEPT:
        return np.asarray(columns @ _multinomial(n, n_resamples, seed))
    kept = n * n_resamples <= _KEPT_AS_BYTES
    draws = (_kept_draws if kept else _parts_of_draws)(n, n_resamples, seed)
    return np.concatenate([columns @ part.T.astype(float) for part in draws], axis=-1)


@lru_cache(maxsize=4)
def _multinomial(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return how often each of n clusters is drawn in each bootstrap sample. *Shape:* ``(cluster, resample)``."""
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.ascontiguousarray(draws.T, dtype=float)


@lru_cache(maxsize=1)
def _kept_draws(n: int, n_resamples: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return the parts of `_parts_of_draws`; no count exceeds n, or in practice 20 if n is large."""
    return tuple(part.astype(np.uint8) for part in _parts_of_draws(n, n_resamples, seed))


def _parts_of_draws(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield counts like those of `_multinomial` in parts, drawn by a method that is fast for many clusters.

    *Shape:* ``(resample, cluster)``.
    """
    random = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // n)
    for start in range(0, n_resamples, at_once):
        rows = min(at_once, n_resamples - start)
        drawn = random.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)


def _scipy_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    method: Literal["bca", "percentile"],
    level: float,
    n_resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    def mean(s: np.ndarray, c: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(s.sum(axis=axis) / c.sum(axis=axis))

    found = scipy.stats.bootstrap(
        (sums, counts),
        mean,
        paired=True,
        axis=-1,
        confidence_level=level,
        n_resamples=n_resamples,
        method=method,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    low, high = (np.asarray(end) for end in found)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
