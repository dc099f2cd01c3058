"""Covariates of a regression of pairs: what they are made of, and which of them say the same."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.matrices import ORDERS
from daam_syntax.analysis.relations.adjustment import ROUNDING

COVARIATES: Final = ("log_distance", "linear_distance", "adjacency", "subwords")
"""Default covariates: the distance between the two words in three forms, and their number of subwords."""

AREAS: Final = ("log_head_area", "log_dependent_area")
"""Covariates that ``areas=True`` adds, only for sensitivity analyses: the area of a mask is part of its overlap."""

DISTANCE_FORMS: Final = COVARIATES[:3]
"""Covariates that are forms of the distance in the sentence."""

SOURCES: Final = {
    "log_distance": ("linear_distance",),
    "adjacency": ("linear_distance",),
    "subwords": ("head_subwords", "dependent_subwords"),
    "log_head_area": ("head_area",),
    "log_dependent_area": ("dependent_area",),
}
"""Columns of the pair table that a derived covariate is made of."""

HELD_CONSTANT: Final = {
    "log_distance": "distance",
    "linear_distance": "distance",
    "subwords": "subwords",
    "log_head_area": "area",
}
"""Property, as `balance` names it, that a covariate holds constant."""


def source_columns(name: str) -> tuple[str, ...]:
    """Return the columns of the pair table that a covariate is made of; its own column if it is not derived."""
    return SOURCES.get(name, (name,))


def covariate(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return a covariate of pairs, NaN where it has no value. *Shape:* ``(row,)``."""
    if name == "linear_distance":
        return rows[name].abs().astype(float)
    sources = [rows[column].astype(float) for column in source_columns(name)]
    if name == "log_distance":
        return sources[0].abs().clip(lower=1).map(np.log2)
    if name == "adjacency":
        return sources[0].abs().eq(1).astype(float).where(sources[0].notna())
    if name in AREAS:  # the area of an empty mask has no logarithm
        return sources[0].where(sources[0] > 0).map(np.log)
    return sum(sources[1:], sources[0])


def without_rounding(design: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Set to 0 what differences of covariates leave only by rounding, which a fit would scale up to a coefficient.

    Parameters
    ----------
    design
        Columns of the terms, centered or as differences. *Shape:* ``(row, term)``.
    values
        The covariates before that, which give the scale of the rounding. *Shape:* ``(pair, covariate)``.

    Returns
    -------
    pandas.DataFrame
        The design; columns that are not covariates are as they were.
    """
    cleaned = design.copy()
    for name in design.columns.intersection(values.columns):
        least = ROUNDING * values[name].abs().max()
        cleaned[name] = design[name].where(design[name].abs() > least, 0.0)
    return cleaned


def redundant_distances(design: pd.DataFrame) -> list[str]:
    """Return forms of the distance that other terms determine, such as adjacency if there are only two distances."""
    forms = (*DISTANCE_FORMS, *ORDERS)
    kept = [name for name in design.columns if name not in forms]
    redundant = []
    for name in (name for name in design.columns if name in forms):
        varies = np.ptp(design[name]) > 1e-12
        if varies and np.linalg.matrix_rank(design[[*kept, name]]) <= len(kept):
            redundant.append(name)
        else:
            kept.append(name)
    return redundant
