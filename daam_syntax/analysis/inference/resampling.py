"""Intervals and tests of means of clusters: pure functions of arrays.

Every function takes sums over clusters and the number of prompts in each (by default one): the estimate is the
sum of the sums over the sum of the numbers, the mean over prompts. Leading axes are data sets of their own,
so that simulations can run many at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

IntervalMethod = Literal["studentised", "t", "bca", "percentile"]
"""How an interval is made, see `interval`."""

_TINY: Final = 1e-9  # of the largest value: what rounding leaves of a spread that is 0
_KEPT: Final = (
    2**22
)  # numbers of a matrix of draws that is kept for the next estimate: 32 megabytes
_AT_ONCE: Final = (
    2**20
)  # numbers of a part of one that is not: memory does not grow with the clusters


def mean_and_error(sums: ArrayLike, counts: ArrayLike = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over prompts and its standard error, clusters being the sample.

    Parameters
    ----------
    sums
        Sum of the prompts' values in each cluster, shape (..., cluster).
    counts
        Number of prompts in each cluster, broadcastable to `sums`.

    Returns
    -------
    tuple of numpy.ndarray
        Mean and standard error, each of shape (...). The error is that of a ratio by linearisation (Cochran
        1977, section 6.4), with divisor cluster - 1; for one prompt per cluster that is s / sqrt(n).
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
    method: IntervalMethod = "studentised",
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
        "studentised": symmetric studentised (bootstrap-t) cluster bootstrap (Hall 1988): the one that keeps its
        level with 8 to 60 prompts, also for skewed values with many zeros (docs/calibration.md). "t":
        Student's, with cluster - 1 degrees of freedom. "bca" and "percentile" (scipy): too narrow
        with few prompts.
    level
        Confidence level.
    n_resamples
        Number of bootstrap samples.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple of numpy.ndarray
        Low and high ends, shape (...). Infinite where the values are too few or too equal to bound the mean.
    """
    if n_resamples < 1:
        raise ValueError(f"Expected at least one bootstrap sample, but got {n_resamples}.")
    sums, counts = np.broadcast_arrays(np.asarray(sums, float), np.asarray(counts, float))
    if method == "bca" or method == "percentile":  # spelled out for the type checker
        return _scipy_interval(sums, counts, method, level, n_resamples, seed)
    mean, error = mean_and_error(sums, counts)
    if method == "t":
        critical = np.full(mean.shape, stats.t.ppf((1 + level) / 2, sums.shape[-1] - 1))
    elif method == "studentised":
        critical = _critical_value(sums, counts, level, n_resamples, seed)
    else:
        raise ValueError(
            f'Expected the interval "studentised", "t", "bca" or "percentile", but got {method!r}.'
        )
    with np.errstate(invalid="ignore"):
        half = np.where(error > 0, critical * error, np.inf)
    return mean - half, mean + half


def _critical_value(
    sums: np.ndarray, counts: np.ndarray, level: float, n_resamples: int, seed: int
) -> np.ndarray:
    """Return the quantile of |t| over bootstrap samples of clusters, shape (...)."""
    n = sums.shape[-1]
    mean, _ = mean_and_error(sums, counts)
    # The sum of squared residuals from the sample's own mean, without an array (..., cluster, resample).
    centred = sums - mean[..., None] * counts
    columns = np.stack([counts, sums, centred**2, centred * counts, counts**2])
    totals, drawn, squares, products, weights = _sums_of_samples(columns, n_resamples, seed)
    means = drawn / totals
    shift = means - mean[..., None]
    squares = squares - 2 * shift * products + shift**2 * weights
    scale = np.abs(centred).max(axis=-1, initial=0.0)[..., None]
    errors = np.sqrt(n / (n - 1) * np.maximum(squares, 0)) / totals
    # What rounding leaves of the difference of sums of squares, each as large as n times the largest one.
    flat = squares <= 1e-12 * n * scale**2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(shift) / errors
    # A sample of equal values says nothing of its error: its t is infinite, unless it has the mean itself.
    t = np.where(flat, np.where(np.abs(shift) <= _TINY * scale, 0.0, np.inf), t)
    return np.asarray(np.quantile(t, level, axis=-1, method="inverted_cdf"))


def _sums_of_samples(columns: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Return sums over bootstrap samples of clusters, shape (..., resample), of columns of shape (..., cluster)."""
    n = columns.shape[-1]
    if n * n_resamples <= _KEPT:
        return np.asarray(columns @ _multinomial(n, n_resamples, seed))
    parts = [columns @ draws for draws in _parts_of_draws(n, n_resamples, seed)]
    return np.concatenate(parts, axis=-1)


@lru_cache(maxsize=4)
def _multinomial(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return how often each of n clusters is drawn in each bootstrap sample, shape (cluster, resample)."""
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.ascontiguousarray(draws.T, dtype=float)


def _parts_of_draws(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield what `_multinomial` returns for some resamples after the other, drawn in the way that is quick for many."""
    random = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // n)
    for start in range(0, n_resamples, at_once):
        rows = min(at_once, n_resamples - start)
        drawn = random.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).T.astype(float)


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

    found = stats.bootstrap(
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


def sign_flip_p(sums: ArrayLike, *, n_resamples: int = 9999, seed: int = 0) -> np.ndarray:
    """Return the two-sided p-value of a mean of 0, flipping the signs of clusters.

    Under the null that the two sides of a difference are exchangeable within a cluster, every sign is as likely as the
    other (Fisher 1935; Winkler et al. 2014). All 2 ** cluster patterns are tried where that is no more than
    `n_resamples`; else as many are drawn, and the observed one is counted with them, so that p is never 0
    (Phipson and Smyth 2010).

    Parameters
    ----------
    sums
        Sum of the prompts' differences in each cluster, shape (..., cluster).

    Returns
    -------
    numpy.ndarray
        Shape (...).
    """
    sums = np.asarray(sums, dtype=float)
    n = sums.shape[-1]
    exact = 2**n <= n_resamples
    observed = np.abs(sums.sum(axis=-1))
    flips = sums @ _all_signs(n) if exact else _sums_of_flips(sums, n_resamples, seed)
    flipped = np.abs(flips)
    # Patterns that tie with the observed one but for rounding count as extreme.
    slack = _TINY * np.abs(sums).sum(axis=-1)
    extreme = (flipped >= (observed - slack)[..., None]).sum(axis=-1)
    n_patterns = flipped.shape[-1]
    return np.asarray(extreme / n_patterns if exact else (extreme + 1) / (n_patterns + 1))


@lru_cache(maxsize=4)
def _all_signs(n: int) -> np.ndarray:
    """Return all patterns of signs, shape (cluster, pattern)."""
    return np.array(list(product((1.0, -1.0), repeat=n))).T.reshape(n, 2**n)


def _sums_of_flips(sums: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Return sums of clusters whose signs are drawn, shape (..., resample), of values of shape (..., cluster)."""
    n = sums.shape[-1]
    if n * n_resamples <= _KEPT:
        return np.asarray(sums @ _drawn_signs(n, n_resamples, seed))
    random = np.random.default_rng(seed)
    found = np.zeros((*sums.shape[:-1], n_resamples))
    at_once = max(1, _AT_ONCE // n_resamples)
    for start in range(0, n, at_once):
        some = sums[..., start : start + at_once]
        found += some @ _signs(random, some.shape[-1], n_resamples)
    return found


@lru_cache(maxsize=4)
def _drawn_signs(n: int, n_resamples: int, seed: int) -> np.ndarray:
    return _signs(np.random.default_rng(seed), n, n_resamples)


def _signs(random: np.random.Generator, n: int, n_resamples: int) -> np.ndarray:
    """Draw patterns of signs, shape (cluster, pattern)."""
    return 2.0 * random.integers(0, 2, size=(n, n_resamples)) - 1


def two_way_error(contributions: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Return the standard error of a linear estimate whose rows are clustered two ways.

    The variance of clusters of the first kind, plus that of the second, minus that of their intersections
    (Cameron, Gelbach and Miller 2011), each times n / (n - 1). In small samples the result can fall below a
    one-way variance, even below 0, so the largest of the three is taken, as MacKinnon, Nielsen and Webb (2024)
    do.

    Parameters
    ----------
    contributions
        Each row's weight times its deviation from the mean, shape (row,): they sum to 0.
    first, second
        The row's cluster of either kind, as codes from 0, shape (row,).

    Returns
    -------
    float
        NaN if there is but one cluster of either kind. Use it with the smaller number of clusters minus one degrees
        of freedom.
    """
    values = np.asarray(contributions, dtype=float)
    first, second = np.asarray(first), np.asarray(second)
    both = np.unique(np.stack([first, second]), axis=1, return_inverse=True)[1].ravel()

    def variance(codes: np.ndarray) -> float:
        n = len(np.unique(codes))
        sums = np.bincount(codes, weights=values)
        return n / (n - 1) * float((sums**2).sum()) if n > 1 else float("nan")

    one, other = variance(first), variance(second)
    return float(np.sqrt(np.max([one, other, one + other - variance(both)])))
