"""Corrections for multiple tests."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

Correction = Literal["holm", "bh", "none"]
"""Holm (1979) for planned contrasts, Benjamini-Hochberg (1995) for exploration, or no correction."""

_KNOWN: Final = get_args(Correction)


def adjust_p(p: ArrayLike, correction: Correction = "holm") -> np.ndarray:
    """Adjust p-values for the number of tests.

    Parameters
    ----------
    p
        One p-value per test. *Shape:* ``(test,)``. NaN marks a missing test; it is returned as NaN and not
        counted.
    correction
        "holm" controls the probability of any false finding, "bh" the expected share of false findings among all
        findings; "none" changes nothing.

    Returns
    -------
    numpy.ndarray
        Adjusted p-values. *Shape:* ``(test,)``.

    Raises
    ------
    ValueError
        If the correction is unknown.
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
    """Adjust n p-values by Holm (1979): the smallest times n, the next times n - 1, and so on, never decreasing.

    statsmodels runs the garbage collector in every call, which takes most of a second while a model is loaded.
    """
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(scaled).clip(max=1)
    return adjusted
