"""The rows of a pair table as a clustered sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns, check_table
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.wording import plural

MIN_CLUSTERS: Final = 5
"""Fewer independent units give no interval, because resampling cannot show how they vary."""

Clusters = str | tuple[str, str]
"""A column whose values are independent units, or two crossed columns."""


def check_rows(pairs: pd.DataFrame, columns: Sequence[str], cluster: Clusters) -> pd.DataFrame:
    """Check that the rows of a table can be averaged, and return the table with row numbers as index.

    Raises
    ------
    ValueError
        If the table lacks a column or mixes schemes or thresholds, or if some rows have no cluster.
    """
    check_table(pairs)
    clusters = cluster_columns(cluster)
    if len(clusters) not in (1, 2):
        raise ValueError(f"Expected one or two cluster columns, but got {cluster!r}.")
    check_columns(pairs, ["prompt_id", "image", *columns, *clusters])
    check_one_rule(pairs)
    unnamed = [column for column in clusters if pairs[column].isna().any()]
    if unnamed:
        raise ValueError(
            f"Expected a cluster for every pair, but {', '.join(unnamed)} is missing in some rows: "
            "drop these rows, or choose another cluster column."
        )
    return pairs.reset_index(drop=True)


def check_one_rule(pairs: pd.DataFrame) -> None:
    """Check that a table has one scheme and one threshold.

    Raises
    ------
    ValueError
        If it mixes several.
    """
    for column in ("scheme", "threshold"):
        if column in pairs.columns and pairs[column].nunique(dropna=True) > 1:
            found = ", ".join(map(str, pairs[column].unique()))
            raise ValueError(
                f"Expected pairs of one {column}, but got {found}: these are several measurements of the "
                "same pairs, so choose one."
            )


def cluster_columns(cluster: Clusters) -> list[str]:
    """Return the cluster columns as a list.

    Raises
    ------
    TypeError
        If they are not names.
    """
    is_name = isinstance(cluster, str)
    if not is_name and not (
        isinstance(cluster, list | tuple) and all(isinstance(each, str) for each in cluster)
    ):
        raise TypeError(
            f"Expected the name of a column as cluster, or two, but got {shown(cluster)}."
        )
    return [cluster] if isinstance(cluster, str) else list(cluster)


def sample_sizes(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of prompts, images and pairs of some rows."""
    prompts = pd.factorize(rows["prompt_id"], use_na_sentinel=False)[0]
    images = pd.factorize(rows["image"], use_na_sentinel=False)[0]
    n = images.max(initial=0) + 1
    return {
        "n_prompts": int(rows["prompt_id"].nunique()),
        "n_images": len(np.unique(prompts * n + images)),
        "n_pairs": len(rows),
    }


def too_few(n: int, unit: str, what: str = "an interval") -> str:
    """Return the reason why too few clusters give no result."""
    return f"{plural(n, unit)}, and {what} needs at least {MIN_CLUSTERS}"
