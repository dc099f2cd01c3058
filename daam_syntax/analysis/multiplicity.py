"""Corrections for several tests."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

Correction = Literal["holm", "bh", "none"]
"""Holm (1979) for contrasts that were declared; Benjamini-Hochberg (1995) for exploration; none."""

_NAMES: Final = {"holm": "holm", "bh": "fdr_bh"}


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
    if correction not in ("none", *_NAMES):
        raise ValueError(f'Expected the correction "holm", "bh" or "none", but got {correction!r}.')
    adjusted = np.array(p, dtype=float)
    tested = ~np.isnan(adjusted)
    if correction != "none" and tested.any():
        from statsmodels.stats.multitest import multipletests

        adjusted[tested] = multipletests(adjusted[tested], method=_NAMES[correction])[1]
    return adjusted
