"""Argument checks that inference and export share."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import pandas as pd

MAP_KIND: Final = "map_kind"
"""Column that says what maps are, in tables of maps other than attention from image to text."""

ATTENTION: Final = "attention"
"""Kind of the maps of rows without one."""


def check_table(
    table: object,
    what: str = "a pair table (see `measure_pairs`)",
    *,
    may_mix_maps: bool = False,
) -> None:
    """Check that an argument is a table, and that its rows are of maps of one kind.

    Raises
    ------
    TypeError
        If it is not a pandas DataFrame.
    ValueError
        If it has rows of maps of several kinds, unless they may be mixed.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"Expected {what}, a pandas DataFrame, but got {type(table).__name__}.")
    if may_mix_maps or MAP_KIND not in table:
        return
    kinds = sorted(table[MAP_KIND].fillna(ATTENTION).unique())
    if len(kinds) > 1:
        raise ValueError(
            f"Expected rows of one kind of maps, but the column {MAP_KIND} has {', '.join(kinds)}, whose measures "
            f"are on different scales (rows without a kind are {ATTENTION}): choose some, such as "
            f"table[table[{MAP_KIND!r}] == {kinds[-1]!r}]."
        )


def check_columns(
    table: pd.DataFrame, columns: Iterable[str], what: str = "a pair table (see `measure_pairs`)"
) -> None:
    """Check that a table has some columns.

    Raises
    ------
    ValueError
        If it lacks one.
    """
    if missing := [name for name in dict.fromkeys(columns) if name not in table.columns]:
        raise ValueError(
            f"Expected {what} with the columns {', '.join(map(repr, missing))}, but it has only "
            f"{', '.join(map(str, table.columns)) or 'none'}.{meant(missing, table.columns)}"
        )


def meant(missing: Iterable[object], columns: Iterable[object]) -> str:
    """Return a question for names that a table does not have, if they are like some that it has; "" otherwise.

    The own columns of prompts are called ``metadata.NAME`` or ``slot.NAME``.
    """
    known = [str(name) for name in columns]
    found = []
    for name in map(str, missing):
        found += [one for one in known if one.endswith(f".{name}")] or get_close_matches(
            name, known, n=1
        )
    return f" Did you mean {', '.join(dict.fromkeys(found))}?" if found else ""


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
