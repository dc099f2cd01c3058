"""Test and interval of a mean or a ratio by flipping the signs of clusters, as pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.util.arguments.checks import checked, whole

MIN_FLIPPED: Final = 6
"""Fewer clusters cannot give p <= 0.05, hence no 95% interval: two of 2 ** 5 patterns of signs are always extreme."""

_TINY: Final = 1e-9
"""Differences below this share of the values are rounding error."""

_KEPT: Final = 2**22
"""Largest matrix of signs that is kept for the next test, in numbers: 32 MB."""

_AT_ONCE: Final = 2**20
"""Size of the parts of larger matrices, in numbers: memory does not grow with the number of clusters."""


@dataclass(frozen=True)
class Nuisance:
    """Moments of clusters in a regression of an outcome on one regressor and on nuisance regressors.

    With Z for the nuisance regressors, W for weights, and k for what is left of the regressor x when Z is taken out.

    Attributes
    ----------
    cross
        Z'WZ of each cluster. *Shape:* ``(cluster, nuisance, nuisance)``.
    regressor, outcome
        Z'Wx and Z'Wy of each cluster. *Shape:* ``(cluster, nuisance)`` each.
    left_regressor, left_outcome
        k'Wx and k'Wy of each cluster. *Shape:* ``(cluster,)`` each.
    """

    cross: np.ndarray
    regressor: np.ndarray
    outcome: np.ndarray
    left_regressor: np.ndarray
    left_outcome: np.ndarray

    def summed(self, codes: np.ndarray) -> Nuisance:
        """Return the moments of larger clusters, given their codes from 0. *Shape:* ``(cluster,)``."""
        found = []
        for values in (getattr(self, item.name) for item in fields(self)):
            totals = np.zeros((codes.max() + 1, *values.shape[1:]))
            np.add.at(totals, codes, values)
            found.append(totals)
        return Nuisance(*found)

    def without_each(self) -> tuple[np.ndarray, np.ndarray]:
        """Return k'W(y - Zg) and k'W(x - Za) of each cluster, with slopes g and a from the other clusters.

        Residuals from slopes that were fitted to the cluster itself are too small, the more so the more the cluster
        determines the slopes.

        Returns
        -------
        tuple of numpy.ndarray
            *Shape:* ``(cluster,)`` each.
        """
        inverse = np.linalg.pinv(self.cross.sum(axis=0) - self.cross, hermitian=True)
        total = np.linalg.pinv(self.cross.sum(axis=0), hermitian=True)
        slopes = total @ self.regressor.sum(axis=0)
        loads = self.regressor - self.cross @ slopes  # k'WZ of each cluster
        found = []
        for left, values in (
            (self.left_outcome, self.outcome),
            (self.left_regressor, self.regressor),
        ):
            others = np.einsum("gij,gj->gi", inverse, values.sum(axis=0) - values)
            found.append(left - (loads * others).sum(axis=1))
        return found[0], found[1]


@checked(n_clusters=whole(0))
def least_p(n_clusters: int) -> float:
    """Return the smallest p-value that flipping the signs of `n_clusters` clusters can give, ``2 ** (1 - n)``."""
    return min(1.0, 2.0 ** (1 - n_clusters))


def sign_flip_p(
    sums: ArrayLike,
    *,
    alternative: Literal["two-sided", "greater"] = "two-sided",
    flipped: ArrayLike | None = None,
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
    flipped
        Sums to flip instead of `sums`, such as those of `Nuisance.without_each`. *Shape:* ``(..., cluster)``.
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
    moved = sums if flipped is None else np.asarray(flipped, dtype=float)
    observed, patterns = sums.sum(axis=-1), _flipped_sums(moved, n_resamples, seed)
    if alternative == "two-sided":
        observed, patterns = np.abs(observed), np.abs(patterns)
    # Patterns that tie with the observed one, up to rounding error, count as extreme.
    slack = _TINY * np.abs(sums).sum(axis=-1)
    extreme = (patterns >= (observed - slack)[..., None]).sum(axis=-1)
    n_patterns = patterns.shape[-1]
    if not exact:
        return np.asarray((extreme + 1) / (n_patterns + 1))
    # The observed pattern is one of them, and so is its mirror image, even if other sums are flipped.
    least = 2 if alternative == "two-sided" else 1
    return np.asarray(np.minimum(np.maximum(extreme, least), n_patterns) / n_patterns)


def sign_flip_interval(
    sums: ArrayLike,
    counts: ArrayLike = 1,
    *,
    level: float = 0.95,
    flipped: tuple[ArrayLike, ArrayLike] | None = None,
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
    flipped
        Sums and counts to flip instead.
    n_resamples, seed
        See `sign_flip_p`.

    Returns
    -------
    tuple of numpy.ndarray
        Low and high ends. *Shape:* ``(...)`` each. Infinite where no value can be rejected.
    """
    sums, counts = np.broadcast_arrays(np.asarray(sums, float), np.asarray(counts, float))
    exact = _exact(sums.shape[-1], n_resamples)
    total, size = sums.sum(axis=-1)[..., None], counts.sum(axis=-1)[..., None]
    moved = (sums, counts) if flipped is None else flipped
    both = np.stack(np.broadcast_arrays(*(np.asarray(values, float) for values in moved)))
    patterns, flipped_size = _flipped_sums(both, n_resamples, seed)
    # Pattern s is as extreme as the observed one at v where |F_s - v G_s| >= |T - v N|, with the flipped sums F and G
    # and the totals T and N. That is an interval around the estimate T / N.
    ends = []
    slack = _TINY * np.abs(counts).sum(axis=-1)[..., None]
    for sign in (1, -1):
        gap = size - sign * flipped_size
        with np.errstate(divide="ignore", invalid="ignore"):
            # A gap of 0 or less, possible if other sums are flipped, means that no value rejects.
            ends.append(np.where(gap > slack, (total - sign * patterns) / gap, np.nan))
    low, high = np.fmin(*ends), np.fmax(*ends)
    unbounded = np.isnan(ends[0]) | np.isnan(ends[1])
    low, high = np.where(unbounded, -np.inf, low), np.where(unbounded, np.inf, high)
    # The observed pattern itself is extreme at every value.
    n_patterns = patterns.shape[-1] + (not exact)
    allowed = int(np.floor((1 - level) * n_patterns * (1 + _TINY))) - (not exact)
    if allowed < 0:
        return np.full(low.shape[:-1], -np.inf), np.full(high.shape[:-1], np.inf)
    place = min(allowed, patterns.shape[-1] - 1)
    found = np.sort(low, axis=-1)[..., place], -np.sort(-high, axis=-1)[..., place]
    # An end at 0 up to rounding error is 0, which the interval includes.
    scale = np.abs(sums).sum(axis=-1) / np.maximum(size[..., 0], _TINY)
    low, high = (np.where(np.abs(end) <= _TINY * scale, 0.0, end) for end in found)
    return low, high


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
    # One bit of each 32: four times as fast as `random.integers(0, 2)`, which gives the same signs.
    bits = random.bit_generator.random_raw(-(-n * n_resamples // 2)).view(np.int32)
    signs = (bits[: n * n_resamples] < 0).astype(float).reshape(n, n_resamples)
    signs *= 2
    signs -= 1
    return signs
