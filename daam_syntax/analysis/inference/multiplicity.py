"""Corrections for several tests."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

Correction = Literal["holm", "bh", "none"]
"""Holm (1979) for contrasts that were declared; Benjamini-Hochberg (1995) for exploration; none."""

_KNOWN: Final = get_args(Correction)


def adjust_p(p: ArrayLike, correction: Correction = "holm") -> np.ndarray:
    """Adjust p-values for their number.

    Parameters
    ----------
    p
        One p-value per test, shape (test,). NaN is no test: it stays NaN and is not counted.
    correction
        "holm" holds the chance of any false finding; "bh" holds the expected share of false ones among the
        findings; "none" changes nothing.

    Returns
    -------
    numpy.ndarray
        Adjusted p-values, shape (test,).

    Raises
    ------
    ValueError
        If there is no such correction.
    """
    if correction not in _KNOWN:
        raise ValueError(f'Expected the correction "holm", "bh" or "none", but got {correction!r}.')
    adjusted = np.array(p, dtype=float)
    tested = ~np.isnan(adjusted)
    if correction != "none" and tested.any():
        adjust = _holm if correction == "holm" else false_discovery_control
        adjusted[tested] = adjust(adjusted[tested])
    return adjusted


def _holm(p: np.ndarray) -> np.ndarray:
    """Adjust by Holm (1979): the smallest of n times n, the next times n - 1, ..., none below the one before it.

    That of statsmodels collects garbage in every call, which takes a good part of a second beside a loaded model.
    """
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(scaled).clip(max=1)
    return adjusted
