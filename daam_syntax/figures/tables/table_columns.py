"""What figures ask of the tables that they draw, and how they name what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pandas as pd

from daam_syntax.maps.measures import BREADTH_MEASURES, PAIR_MEASURES

MEASURE_LABELS: Final = {
    "iou": "attention overlap (IoU, 0 to 1)",
    "iod": "overlap / dependent's area (IoD, 0 to 1)",
    "ioh": "overlap / head's area (IoH, 0 to 1)",
    "soft_iou": "attention overlap (soft IoU, 0 to 1)",
    "lift": "attention overlap (lift, 1 = chance)",
    "log_area_ratio": "ln (head's area / dependent's area)",
    "head_area": "head's mask (share of the image)",
    "dependent_area": "dependent's mask (share of the image)",
    "area": "mask (share of the image)",
    "mean": "mean attention probability",
    "max": "largest mean attention probability",
}
"""Axis labels of the measures: what is shown, its unit or range."""


def measure_label(measure: str) -> str:
    """Return the axis label of a measure: its name and range if it has no label; its name if it is not a known one."""
    if measure in MEASURE_LABELS:
        return MEASURE_LABELS[measure]
    name = measure.replace("_", " ")
    known = PAIR_MEASURES.get(measure) or BREADTH_MEASURES.get(measure)
    return f"{name} ({known.range})" if known else name


def require(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that a table has rows and columns.

    Raises
    ------
    ValueError
        If one is missing; the message names all that are.
    """
    missing = [c for c in dict.fromkeys(columns) if c not in table.columns]
    if missing:
        raise ValueError(
            f"Expected {what} with the columns {', '.join(missing)}, but it has only "
            f"{', '.join(map(str, table.columns)) or 'none'}."
        )
    if table.empty:
        raise ValueError(f"Expected {what} with at least one row, but it has none.")


def require_one(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that a table does not mix values of columns (those that it has) that one figure must not mix.

    Raises
    ------
    ValueError
        If it does; the message says how to choose.
    """
    for column in columns:
        found = list(table[column].unique()) if column in table.columns else []
        if len(found) > 1:
            raise ValueError(
                f"Expected {what} of one {column}, but got {', '.join(map(str, found))}; choose one, such as "
                f"table[table[{column!r}] == {found[0]!r}]."
            )
