"""Summaries of pairs that are too many to be loaded: shard by shard, exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis import summarize
from daam_syntax.maps import PAIR_MEASURES

_RULE: Final = ["scheme", "threshold"]
_ROWS: Final = "_rows"
_MEASURED: Final = "_measured"


def summarize_shards(
    shards: Callable[[Sequence[str]], Iterable[pd.DataFrame]],
    names: Sequence[str],
    by: str | Sequence[str] = "relation",
    *,
    measure: str | None = None,
    control: str = "unrelated",
    **options: Any,
) -> pd.DataFrame:
    """Summarise pairs that come in parts; the same as `summarize` of the whole table.

    All pairs of an image stand in one part. So the means over the pairs of an image are taken part by part, and
    `summarize` sees one row for each image and group instead of all pairs.

    Parameters
    ----------
    shards
        Yields the parts, with the columns it is asked for.
    names
        Columns of the table.
    by, measure, control, **options
        Of `summarize`, but for its ``cluster``: prompts are what is independent here.

    Raises
    ------
    ValueError
        If the table lacks a column, or other clusters are asked for.
    """
    if options.get("cluster", "prompt_id") != "prompt_id":
        raise ValueError("Expected prompts as clusters; for others, summarize(run.pairs(), ...).")
    wanted = [by] if isinstance(by, str) else list(by)
    measures = [name for name in PAIR_MEASURES if name in names]
    if measure is None:
        measure = "iou" if "iou" in measures or not measures else measures[0]
    unknown = [name for name in [*wanted, measure] if name not in names]
    if unknown:
        raise ValueError(
            f"Expected columns of this pair table ({', '.join(names)}), but got {', '.join(unknown)}."
        )
    groups = list(dict.fromkeys(["kind", *_RULE, *wanted]))
    keys = list(dict.fromkeys([*groups, "prompt_id", "image"]))
    columns = list(dict.fromkeys([*keys, *measures]))
    parts = [_image_means(part, keys, measures, measure) for part in shards(columns)]
    images = pd.concat(parts, ignore_index=True)
    table = summarize(
        images.drop(columns=[_ROWS, _MEASURED]), by, measure=measure, control=control, **options
    )
    # What was counted there are images and groups, not pairs.
    counts = images.groupby(groups, dropna=False)[[_ROWS, _MEASURED]].sum().reset_index()
    recounted = counts.merge(table, on=groups, how="left", validate="one_to_one")
    recounted["n_pairs"] = recounted[_MEASURED]
    recounted["n_missing"] = recounted[_ROWS] - recounted[_MEASURED]
    recounted["_control"] = recounted["kind"] == control
    recounted = recounted.sort_values(
        [*_RULE, "_control", "n_pairs"], ascending=[True, True, False, False], kind="stable"
    )
    recounted = recounted[list(table.columns)].reset_index(drop=True)
    recounted.attrs = table.attrs
    return recounted


def _image_means(
    pairs: pd.DataFrame, keys: list[str], measures: list[str], measure: str
) -> pd.DataFrame:
    """Return the means of every image and group, with its numbers of rows and of measured pairs."""
    rows = pairs.groupby(keys, sort=False, dropna=False).size().rename(_ROWS)
    measured = pairs[pairs[measure].notna()].groupby(keys, sort=False, dropna=False)
    found = rows.to_frame().join(measured.size().rename(_MEASURED))
    found = found.join(measured[measures].mean())
    return found.fillna({_MEASURED: 0}).astype({_MEASURED: int}).reset_index()
