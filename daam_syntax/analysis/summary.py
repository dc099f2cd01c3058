"""Summaries of the pair table. Prompts are the sample: pairs are nested in images, images in prompts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from daam_syntax.analysis.pairs import MEASURES


def summarize(pairs: pd.DataFrame, by: str | Sequence[str] = "relation") -> pd.DataFrame:
    """Average the measures of each group of pairs.

    A mean is taken over the pairs of an image, then over the images of a prompt, then over prompts, so that a prompt
    with many pairs or seeds counts once.

    Parameters
    ----------
    pairs
        A pair table, see `measure_pairs`.
    by
        Column, or columns, that make the groups.

    Returns
    -------
    pandas.DataFrame
        One row per kind, scheme, threshold and group, the control first, then the groups with most pairs:
        ``n_prompts``, ``n_images`` and ``n_pairs`` (with an IoU), ``n_missing`` (pairs without one), and the
        mean of every measure over the same ``n_pairs``.

    Raises
    ------
    ValueError
        If the table lacks a column.
    """
    wanted = [by] if isinstance(by, str) else list(by)
    groups = [*dict.fromkeys(["kind", "scheme", "threshold", *wanted])]
    missing = [c for c in [*groups, "prompt_id", "image", *MEASURES] if c not in pairs.columns]
    if missing:
        raise ValueError(
            f"Expected a pair table with the columns {', '.join(missing)}, but it has only "
            f"{', '.join(pairs.columns)}."
        )
    measured = pairs[pairs["iou"].notna()]
    # dropna=False: a group without a name, such as images of unknown seeds, is a group too.
    table = pairs.groupby(groups, sort=False, dropna=False).size().rename("n_rows").to_frame()
    images = list(dict.fromkeys([*groups, "prompt_id", "image"]))
    counts = measured.groupby(groups, dropna=False).agg(
        n_prompts=("prompt_id", "nunique"), n_pairs=("iou", "size")
    )
    distinct = measured[images].drop_duplicates().groupby(groups, dropna=False).size()
    counts.insert(1, "n_images", distinct)
    table = table.join(counts).fillna({"n_prompts": 0, "n_images": 0, "n_pairs": 0})
    table = table.astype({"n_prompts": int, "n_images": int, "n_pairs": int})
    table["n_missing"] = table.pop("n_rows") - table["n_pairs"]
    means = measured.groupby(images, dropna=False)[list(MEASURES)].mean()
    means = means.groupby(list(dict.fromkeys([*groups, "prompt_id"])), dropna=False).mean()
    means = means.groupby(groups, dropna=False).mean()
    table = table.join(means).reset_index()
    table["_control"] = table["kind"] == "unrelated"
    order = ["scheme", "threshold", "_control", "n_pairs"]
    table = table.sort_values(order, ascending=[True, True, False, False], kind="stable")
    return table.drop(columns="_control").reset_index(drop=True)
