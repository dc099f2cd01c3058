"""Effect sizes: differences relative to their spread between prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.util.arguments.checks import checked


@checked
def paired_dz(differences: ArrayLike) -> float:
    """Return the mean of paired differences divided by their standard deviation (d_z, Cohen 1988).

    Parameters
    ----------
    differences
        One difference per prompt.

    Returns
    -------
    float
        NaN for fewer than two differences, and for differences that do not vary.
    """
    values = np.asarray(differences, dtype=float)
    if values.size < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return float("nan")
    return float(values.mean() / values.std(ddof=1))


@checked
def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """Return how much more often values of one group exceed values of another than fall below them.

    ``(#(x > y) - #(x < y)) / (n m)`` over all pairs of values (Cliff 1993).

    Parameters
    ----------
    first, second
        Values of two unpaired groups, one value per prompt.

    Returns
    -------
    float
        Between -1 and 1; NaN if a group is empty.
    """
    x, y = (np.asarray(values, dtype=float) for values in (first, second))
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(
            f"Expected one value per prompt in each group, but got the shapes {x.shape} and {y.shape}."
        )
    if not (x.size and y.size):
        return float("nan")
    return float(np.sign(x[:, None] - y).mean())
