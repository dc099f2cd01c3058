"""Proportions: Wilson intervals, corrections for an imperfect judge, and differences of two judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import binomtest, norm

LEVEL: Final = 0.95
"""Level of all intervals."""


def wilson(hits: int, n: int) -> dict[str, float]:
    """Return a proportion with its Wilson interval; without trials the share is NaN and the interval [0, 1]."""
    if n == 0:
        return {"hits": 0, "n": 0, "share": float("nan"), "low": 0.0, "high": 1.0}
    interval = binomtest(hits, n).proportion_ci(LEVEL, method="wilson")
    return {
        "hits": hits,
        "n": n,
        "share": hits / n,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def share(hits: Sequence[bool]) -> dict[str, float]:
    """Return the proportion of true values with its Wilson interval."""
    return wilson(int(sum(hits)), len(hits))


def corrected(
    hits: int, n: int, sensitivity: tuple[int, int], specificity: tuple[int, int]
) -> dict[str, float]:
    """Correct the share that an imperfect judge finds right, and return it with an interval.

    With the judge's share p, sensitivity Se (right images that it calls right) and specificity Sp (wrong images that it
    calls wrong), the true share is (p + Sp - 1) / (Se + Sp - 1) (Rogan and Gladen 1978, American Journal of
    Epidemiology 107). The interval allows for the errors of all three, with pseudo-counts added to each (Lang and
    Reiczigel 2014, Preventive Veterinary Medicine 113).

    Parameters
    ----------
    hits, n
        Images that the judge calls right, and all images.
    sensitivity, specificity
        Successes and trials: right images called right, and wrong images called wrong.

    Returns
    -------
    dict
        "share", "low", and "high", all cut to [0, 1]. Without trials of one kind, or if the judge does no better than
        chance (Se + Sp at most 1), the share is NaN and the interval [0, 1].
    """
    unknown = {"share": float("nan"), "low": 0.0, "high": 1.0}
    if not (n and sensitivity[1] and specificity[1]):
        return unknown
    raw_se, raw_sp = sensitivity[0] / sensitivity[1], specificity[0] / specificity[1]
    z = float(norm.ppf((1 + LEVEL) / 2))
    se, n_se = (sensitivity[0] + 1) / (sensitivity[1] + 2), sensitivity[1] + 2
    sp, n_sp = (specificity[0] + 1) / (specificity[1] + 2), specificity[1] + 2
    n_adjusted = n + z**2
    p = (hits + z**2 / 2) / n_adjusted
    if raw_se + raw_sp <= 1 or se + sp <= 1:
        return unknown
    gain = se + sp - 1
    true = (p + sp - 1) / gain
    se_error, sp_error = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z**2 * (true * se_error - (1 - true) * sp_error)
    variance = p * (1 - p) / n_adjusted + true**2 * se_error + (1 - true) ** 2 * sp_error
    half = z * np.sqrt(variance) / gain
    low, high = np.clip([true + shift - half, true + shift + half], 0, 1)
    point = np.clip((hits / n + raw_sp - 1) / (raw_se + raw_sp - 1), 0, 1)
    return {"share": float(point), "low": float(low), "high": float(high)}


def paired_difference(first_only: int, second_only: int, n: int) -> dict[str, float]:
    """Return the share of the first judge minus that of the second, on the same images, with an interval.

    The Wald interval with 0.5 added to each cell of the table (Agresti and Min 2005, Statistics in Medicine 24).

    Parameters
    ----------
    first_only, second_only
        Images that only the first, or only the second, calls right.
    n
        All images.
    """
    z = float(norm.ppf((1 + LEVEL) / 2))
    b, c, total = first_only + 0.5, second_only + 0.5, n + 2
    center = (b - c) / total
    half = z * np.sqrt(b + c - (b - c) ** 2 / total) / total
    return {
        "difference": (first_only - second_only) / n,
        "low": float(max(center - half, -1)),
        "high": float(min(center + half, 1)),
    }
