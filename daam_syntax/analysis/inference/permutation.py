"""Test and interval of a difference between two groups of prompts, by permuting prompts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy.special import comb

from daam_syntax.analysis.inference.sample import MIN_CLUSTERS, too_few
from daam_syntax.util.wording import many, plural

_AT_ONCE: Final = 2**22


def permutation_fields(
    first: np.ndarray,
    second: np.ndarray,
    *,
    noun: str,
    level: float,
    n_resamples: int,
    seed: int,
    margin: float | None = None,
) -> dict[str, Any]:
    """Compare the means of two groups, as fields of an `Estimate`.

    The test permutes the studentized difference (Janssen 1997), which keeps its level if the groups have different
    variances. The interval uses the quantile of the same permutations, so it excludes 0 exactly if the test rejects.

    Parameters
    ----------
    first, second
        Values of the prompts, or means of clusters of prompts. *Shape:* ``(prompt,)`` each.
    noun
        Name of the units.
    level, n_resamples, seed, margin
        See `estimate_difference`.
    """
    sizes = len(first), len(second)
    fields: dict[str, Any] = {"n_clusters": min(sizes), "method": f"permuted {many(noun)}"}
    if not min(sizes):
        return fields | {"estimate": float("nan"), "reason": too_few(min(sizes), noun)}
    fields["estimate"] = estimate = float(first.mean() - second.mean())
    if min(sizes) < MIN_CLUSTERS:
        reason = f"{plural(min(sizes), noun)} in one group, and an interval needs at least {MIN_CLUSTERS}"
        return fields | {"reason": reason}
    error = _errors(first[None], second[None])[0]
    if error <= 1e-12 * max(np.abs(first).max(), np.abs(second).max()):
        return fields | {"reason": "the values do not vary", "standard_error": 0.0}
    t = _permuted(np.concatenate([first, second]), sizes[0], n_resamples, seed)
    size = np.abs(t)
    slack = 1e-9 * abs(estimate / error)
    fields |= {
        "standard_error": float(error),
        "p": float(((size >= abs(estimate) / error - slack).sum() + 1) / (len(t) + 1)),
        "least_p": max(2 / float(comb(sum(sizes), sizes[0])), 1 / (len(t) + 1)),
        "method": f"permutation of {many(noun)}, studentized",
    }
    if margin is not None:
        worst = (margin - abs(estimate)) / error
        fields["p_equivalent"] = float(((t >= worst - slack).sum() + 1) / (len(t) + 1))
    place = int(np.floor((1 - level) * (len(t) + 1))) - 1
    if place < 0:
        return fields | {"reason": "too few permutations for an interval at this level"}
    half = float(-np.sort(-size)[place]) * error
    return fields | {"low": estimate - half, "high": estimate + half}


def _permuted(values: np.ndarray, n: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return t of random divisions of all values into groups. *Shape:* ``(resample,)``."""
    rng = np.random.default_rng(seed)
    parts = []
    at_once = max(1, _AT_ONCE // len(values))
    for start in range(0, n_resamples, at_once):
        rows = min(at_once, n_resamples - start)
        shuffled = rng.permuted(np.broadcast_to(values, (rows, len(values))), axis=1)
        first, second = shuffled[:, :n], shuffled[:, n:]
        difference = first.mean(axis=1) - second.mean(axis=1)
        errors = _errors(first, second)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = difference / errors
        parts.append(np.where(errors > 0, t, np.where(difference == 0, 0.0, np.inf)))
    return np.concatenate(parts)


def _errors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Welch's standard error of the difference of means. *Shape:* ``(resample,)``."""
    parts = [side.var(axis=1, ddof=1) / side.shape[1] for side in (first, second)]
    return np.asarray(np.sqrt(parts[0] + parts[1]))
