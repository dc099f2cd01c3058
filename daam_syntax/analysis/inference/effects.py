"""Effect sizes: how large a difference is against the spread between prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def paired_dz(differences: ArrayLike) -> float:
    """Return the mean of paired differences over their standard deviation (Cohen 1988, d_z).

    Parameters
    ----------
    differences
        One per prompt.

    Returns
    -------
    float
        NaN with fewer than two differences, or where they do not vary.
    """
    values = np.asarray(differences, dtype=float)
    if values.size < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return float("nan")
    return float(values.mean() / values.std(ddof=1))


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """Return how much more often a value of the first group lies above one of the second than below it.

    ``(#(x > y) - #(x < y)) / (n m)`` over all pairs (Cliff 1993), in [-1, 1]; it compares two groups that are
    not paired, so give it one value per prompt. NaN where a group is empty.
    """
    x, y = (np.asarray(values, dtype=float) for values in (first, second))
    if not (x.size and y.size):
        return float("nan")
    return float(np.sign(x[:, None] - y).mean())
