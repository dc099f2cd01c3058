"""Corrections for multiple tests."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import scipy
from numpy.typing import ArrayLike

from daam_syntax.util.arguments.checks import checked

Correction = Literal["holm", "bh", "none"]
"""Holm (1979) for planned contrasts, Benjamini-Hochberg (1995) for exploration, or no correction."""

_KNOWN: Final = get_args(Correction)

_ATTAINABLE: Final = 0.05
"""The false discovery rate is controlled among tests that can give a p-value this small."""


@checked
def adjust_p(
    p: ArrayLike, correction: Correction = "holm", *, least: ArrayLike | None = None
) -> np.ndarray:
    """Adjust p-values for the number of tests that could have succeeded.

    A test by sign flips of four prompts cannot give a p-value below 0.125, whatever the data. It cannot be the false
    finding behind a smaller p-value, and such p-values need no correction for it (Tarone 1990). Which tests count
    depends on the least attainable p-values alone, never on the outcomes.

    Parameters
    ----------
    p
        One p-value per test. *Shape:* ``(test,)``. NaN marks a missing test; it is returned as NaN and not
        counted.
    correction
        "holm" controls the probability of any false finding: the smallest p-value is multiplied by the number of tests
        that could have given it, the next by the number of the other tests, and so on (Hommel and Krummenauer 1998).
        "bh" controls the expected share of false findings among all findings. "none" changes nothing.
    least
        Smallest p-value that each test can give, such as ``2 ** (1 - n)`` for sign flips of n prompts. *Shape:*
        ``(test,)``. None or NaN: any value.

    Returns
    -------
    numpy.ndarray
        Adjusted p-values. *Shape:* ``(test,)``.

    Raises
    ------
    ValueError
        If the correction is unknown, or the shapes differ.
    """
    if correction not in _KNOWN:
        raise ValueError(f'Expected the correction "holm", "bh" or "none", but got {correction!r}.')
    adjusted = np.array(p, dtype=float)
    bounds = np.zeros(adjusted.shape) if least is None else np.nan_to_num(np.array(least, float))
    if bounds.shape != adjusted.shape:
        raise ValueError(
            f"Expected a least p-value for each of the {adjusted.size} tests, but got {bounds.size}."
        )
    tested = ~np.isnan(adjusted)
    if correction == "holm" and tested.any():
        adjusted[tested] = _holm(adjusted[tested], bounds[tested])
    elif correction == "bh":
        tested &= bounds <= _ATTAINABLE
        if tested.any():
            adjusted[tested] = scipy.stats.false_discovery_control(adjusted[tested])
    return adjusted


def _holm(p: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Multiply each p-value by the number of tests, not below it in rank, that could give it; never decreasing."""
    order = np.argsort(p, kind="stable")
    ordered = least[order]
    # Up to rounding error: a p-value equal to a test's least one is attainable.
    attainable = ordered[None, :] <= p[order][:, None] * (1 + 1e-9)
    remaining = np.triu(attainable).sum(axis=1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * remaining).clip(max=1)
    return adjusted
