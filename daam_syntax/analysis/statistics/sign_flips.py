"""Test and interval of a mean or a ratio by flipping the signs of clusters, as pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

MIN_FLIPPED: Final = 6
"""Fewer clusters cannot give p <= 0.05, hence no 95% interval: two of 2 ** 5 patterns of signs are always extreme."""

_TINY: Final = 1e-9
"""Differences below this share of the values are rounding error."""

_LEAST_SCALE: Final = 0.05
"""Relative variances below this are estimation error."""

_KEPT: Final = 2**22
"""Largest matrix of signs that is kept for the next test, in numbers: 32 MB."""

_AT_ONCE: Final = 2**20
"""Size of the parts of larger matrices, in numbers: memory does not grow with the number of clusters."""


@dataclass(frozen=True)
class Nuisance:
    """How the sums of clusters depend on each other through nuisance coefficients that were estimated from all of them.

    Attributes
    ----------
    loads
        Sum over each cluster of weight times remaining regressor times nuisance regressors. *Shape:* ``(cluster,
        nuisance)``. They add up to 0.
    scores
        Sum over each cluster of weight times residual times nuisance regressors. *Shape:* ``(cluster, nuisance)``.
    inverse
        Inverse of the weighted cross-products of the nuisance regressors. *Shape:* ``(nuisance, nuisance)``.
    """

    loads: np.ndarray
    scores: np.ndarray
    inverse: np.ndarray


def least_p(n_clusters: int) -> float:
    """Return the smallest p-value that flipping the signs of `n_clusters` clusters can give, ``2 ** (1 - n)``."""
    return min(1.0, 2.0 ** (1 - n_clusters))


def sign_flip_p(
    sums: ArrayLike,
    *,
    alternative: Literal["two-sided", "greater"] = "two-sided",
    scale: np.ndarray | None = None,
    n_resamples: int = 9999,
    seed: int = 0,
) -> np.ndarray:
    """Test a mean of 0 by flipping the signs of clusters, and return the p-value.

    If the two sides of a difference are exchangeable within a cluster (the null hypothesis), both signs are equally
    likely (Fisher 1935; Winkler et al. 2014). All ``2 ** cluster`` sign patterns are enumerated if there are at most
    `n_resamples`. Otherwise `n_resamples` patterns are drawn and the observed one is added, so p is never 0
    (Phipson and Smyth 2010).

    Parameters
    ----------
    sums
        Sum of the prompts' differences in each cluster. *Shape:* ``(..., cluster)``.
    alternative
        "two-sided", or "greater" to test against a mean above 0.
    scale
        Standard deviation of the flipped sum of each pattern relative to that of the observed sum, see
        `flipped_scale`. *Shape:* ``(pattern,)``. None: 1.
    n_resamples
        Largest number of sign patterns.
    seed
        Seed of the patterns.

    Returns
    -------
    numpy.ndarray
        P-values. *Shape:* ``(...)``.
    """
    sums = np.asarray(sums, dtype=float)
    exact = _exact(sums.shape[-1], n_resamples)
    observed, flipped = sums.sum(axis=-1), _flipped_sums(sums, n_resamples, seed)
    flipped = flipped if scale is None else flipped / scale
    if alternative == "two-sided":
        observed, flipped = np.abs(observed), np.abs(flipped)
    # Patterns that tie with the observed one, up to rounding error, count as extreme.
    slack = _TINY * np.abs(sums).sum(axis=-1)
    extreme = (flipped >= (observed - slack)[..., None]).sum(axis=-1)
    n_patterns = flipped.shape[-1]
    return np.asarray(extreme / n_patterns if exact else (extreme + 1) / (n_patterns + 1))


def sign_flip_interval(
    sums: ArrayLike,
    counts: ArrayLike = 1,
    *,
    level: float = 0.95,
    scale: np.ndarray | None = None,
    n_resamples: int = 9999,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values that `sign_flip_p` does not reject, as an interval.

    A value v is rejected if the test of ``sums - v * counts`` gives p <= 1 - level. Hence the interval excludes 0
    exactly if the p-value of the difference is at most 1 - level.

    Parameters
    ----------
    sums, counts
        Sum of each cluster, and its number of prompts or weight. The estimate is the total of `sums` divided by that of
        `counts`. *Shape:* ``(..., cluster)``, broadcast to each other; counts are not negative.
    level
        Confidence level.
    scale, n_resamples, seed
        See `sign_flip_p`.

    Returns
    -------
    tuple of numpy.ndarray
        Low and high ends. *Shape:* ``(...)`` each. Infinite where no value can be rejected.
    """
    sums, counts = np.broadcast_arrays(np.asarray(sums, float), np.asarray(counts, float))
    exact = _exact(sums.shape[-1], n_resamples)
    total, size = sums.sum(axis=-1)[..., None], counts.sum(axis=-1)[..., None]
    flipped = _flipped_sums(sums, n_resamples, seed)
    flipped_size = _flipped_sums(counts, n_resamples, seed)
    if scale is not None:
        flipped, flipped_size = flipped / scale, flipped_size / scale
    # Pattern s is as extreme as the observed one at v where |F_s - v G_s| >= |T - v N|, with the flipped sums F and G
    # and the totals T and N. That is an interval around the estimate T / N.
    ends = []
    slack = _TINY * np.abs(counts).sum(axis=-1)[..., None]
    for sign in (1, -1):
        gap = size - sign * flipped_size
        with np.errstate(divide="ignore", invalid="ignore"):
            # A gap of 0 or less, possible if the scale is below 1, means that no value rejects.
            ends.append(np.where(gap > slack, (total - sign * flipped) / gap, np.nan))
    low, high = np.fmin(*ends), np.fmax(*ends)
    unbounded = np.isnan(ends[0]) | np.isnan(ends[1])
    low, high = np.where(unbounded, -np.inf, low), np.where(unbounded, np.inf, high)
    # The observed pattern itself is extreme at every value.
    n_patterns = flipped.shape[-1] + (not exact)
    allowed = int(np.floor((1 - level) * n_patterns * (1 + _TINY))) - (not exact)
    if allowed < 0:
        return np.full(low.shape[:-1], -np.inf), np.full(high.shape[:-1], np.inf)
    place = min(allowed, flipped.shape[-1] - 1)
    found = np.sort(low, axis=-1)[..., place], -np.sort(-high, axis=-1)[..., place]
    # An end at 0 up to rounding error is 0, which the interval includes.
    scale = np.abs(sums).sum(axis=-1) / np.maximum(size[..., 0], _TINY)
    low, high = (np.where(np.abs(end) <= _TINY * scale, 0.0, end) for end in found)
    return low, high


def flipped_scale(
    sums: np.ndarray,
    counts: np.ndarray,
    nuisance: Nuisance,
    *,
    n_resamples: int = 9999,
    seed: int = 0,
) -> np.ndarray:
    """Return the standard deviation of flipped sums relative to that of the observed sum.

    The observed sum is free of the nuisance coefficients; flipped sums are not. Without this standardization the test
    is too liberal for few clusters (De Santis, Goeman, Hemerik, Davenport and Finos 2022, arXiv:2209.13918). Variances
    are estimated from the clusters.

    Parameters
    ----------
    sums, counts
        See `sign_flip_interval`. *Shape:* ``(cluster,)`` each.
    nuisance
        The nuisance coefficients.
    n_resamples, seed
        See `sign_flip_p`.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(pattern,)``.
    """
    residuals = sums - sums.sum() / counts.sum() * counts
    total = (residuals**2).sum()
    if total <= 0:
        return np.ones(_flipped_sums(sums, n_resamples, seed).shape[-1])
    along = nuisance.inverse @ _flipped_sums(nuisance.loads.T, n_resamples, seed)
    shared = _flipped_sums((nuisance.scores * residuals[:, None]).T, n_resamples, seed)
    spread = nuisance.scores.T @ nuisance.scores
    variance = total - 2 * (along * shared).sum(axis=0)
    variance += np.einsum("ip,ij,jp->p", along, spread, along)
    return np.asarray(np.sqrt(np.maximum(variance / total, _LEAST_SCALE)))


def _exact(n: int, n_resamples: int) -> bool:
    """Return whether all patterns of signs are enumerated."""
    return n < 63 and 2**n <= n_resamples


def _flipped_sums(values: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Return sums over clusters with flipped signs. *Shape:* ``(..., pattern)``."""
    n = values.shape[-1]
    if _exact(n, n_resamples):
        return np.asarray(values @ _all_signs(n))
    if n * n_resamples <= _KEPT:
        return np.asarray(values @ _drawn_signs(n, n_resamples, seed))
    random = np.random.default_rng(seed)
    found = np.zeros((*values.shape[:-1], n_resamples))
    at_once = max(1, _AT_ONCE // n_resamples)
    for start in range(0, n, at_once):
        some = values[..., start : start + at_once]
        found += some @ _signs(random, some.shape[-1], n_resamples)
    return found


@lru_cache(maxsize=4)
def _all_signs(n: int) -> np.ndarray:
    """Return all patterns of signs. *Shape:* ``(cluster, pattern)``."""
    return np.array(list(product((1.0, -1.0), repeat=n))).T.reshape(n, 2**n)


@lru_cache(maxsize=4)
def _drawn_signs(n: int, n_resamples: int, seed: int) -> np.ndarray:
    return _signs(np.random.default_rng(seed), n, n_resamples)


def _signs(random: np.random.Generator, n: int, n_resamples: int) -> np.ndarray:
    """Draw patterns of signs. *Shape:* ``(cluster, pattern)``."""
    return 2.0 * random.integers(0, 2, size=(n, n_resamples)) - 1
