"""Control: distance in the dependency tree as a dose of relatedness."""

from __future__ import annotations

from typing import Any

import pandas as pd

from daam_syntax.analysis.inference.estimators import estimate_mean


def dose_table(pairs: pd.DataFrame, measure: str = "iou", **options: Any) -> pd.DataFrame:
    """Tabulate a measure by the distance of the words in the tree, the dose of relatedness.

    Parameters
    ----------
    pairs
        A pair table of one scheme and threshold, with unrelated pairs.
    measure
        Name of the measure.
    **options
        Further arguments of `estimate_mean`.

    Returns
    -------
    pandas.DataFrame
        One row per ``tree_distance`` (missing if no path joins the words), with the fields of `Estimate`. For the slope
        at constant linear distance, use
        ``regress(pairs, by=None, covariates=["tree_distance", "linear_distance", "subwords"])``.
    """
    chosen = pairs[pairs["kind"].isin(["dependency", "unrelated"])]
    rows = [
        {"tree_distance": distance}
        | estimate_mean(group, measure, label=f"tree distance {distance}", **options).as_dict()
        for distance, group in chosen.groupby("tree_distance", dropna=False)
    ]
    return pd.DataFrame(rows)
