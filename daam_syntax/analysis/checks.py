"""Argument checks that inference and export share."""

from __future__ import annotations

import pandas as pd


def check_table(table: object, what: str = "a pair table (see `measure_pairs`)") -> None:
    """Check that an argument is a table.

    Raises
    ------
    TypeError
        If it is not a pandas DataFrame.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"Expected {what}, a pandas DataFrame, but got {type(table).__name__}.")


def check_level(level: float) -> None:
    """Check a confidence level.

    Raises
    ------
    ValueError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(
            f"Expected a confidence level between 0 and 1, such as 0.95, but got {level!r}."
        )
