"""Records: the rows of a file, a table or a data set before they are checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from daam_syntax.errors import RowProblem, RowUnit
from daam_syntax.language.prompt_sets.rows import GROUPS, unknown_columns


@dataclass(frozen=True)
class Record:
    """The fields of a row, with its position as in `RowProblem`."""

    row: int
    values: Mapping[str, Any]
    unit: RowUnit = "line"


Rows = Iterator[Record | RowProblem]
Renames = Mapping[str, str]
"""Maps columns of a file to columns of the set; other columns are skipped."""


def set_columns(
    header: Sequence[str], columns: Renames | None, source: str, nested: Sequence[str] = ()
) -> tuple[list[str | None], list[RowProblem]]:
    """Match the columns of a file with those of a set of prompts.

    Parameters
    ----------
    header
        The columns of the file.
    columns
        The columns to read and their names in the set; None to read all, which must then be columns of a set.
    source
        The file, for messages.
    nested
        Names of columns that hold mappings.

    Returns
    -------
    names : list of str or None
        The name of each column in the set, None for a column that is skipped.
    problems : list of RowProblem
        All problems of the header.
    """
    messages = [
        f"Expected each column once, but got {name[:80]!r} twice."
        for name in dict.fromkeys(header)
        if header.count(name) > 1
    ]
    if columns is not None:
        names = [columns.get(name) for name in header]
        missing = [name for name in columns if name not in header]
    else:
        unknown = [name for name in header if unknown_columns([name]) and name not in nested]
        names = [None if name in unknown else name for name in header]
        missing = [] if "prompt" in header else ["prompt"]
        if not missing or len(unknown) < len(header):
            messages += unknown_columns(unknown)
    for name in missing:
        has = ", ".join(column[:80] for column in header[:20]) or "none"
        hint = "; rename the column that holds the prompts" if header and columns is None else ""
        if len(header) == 1 and any(mark in header[0] for mark in ",;\t"):
            hint = "; separate columns by commas in CSV, by tabs in TSV"
        messages.append(f"Expected a column '{name}' in {source}, but it has {has}{hint}.")
    return names, [RowProblem(1, message, kind="file") for message in messages]


def given_records(rows: Iterable[str | Mapping[str, Any]] | pd.DataFrame) -> Rows:
    """Yield the rows of a table, or prompts and mappings from columns to values, numbered from 1."""
    if isinstance(rows, pd.DataFrame):
        rows = (
            {str(k): v for k, v in row.items() if not _is_missing(v)}
            for row in rows.to_dict("records")
        )
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            yield Record(number, row, "row")
        else:
            yield Record(number, {"prompt": row}, "row")


def _is_missing(value: Any) -> bool:
    """Whether a cell of a table is empty: None, NaN or NA. A mapping is a value."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def dataset_records(dataset: Any, columns: Renames | None) -> Rows:
    """Yield the rows of a Hugging Face data set; only the columns that are read are loaded."""
    header = list(dataset.column_names)
    names, problems = set_columns(header, columns, "the data set", nested=tuple(GROUPS.values()))
    yield from (RowProblem(1, p.message, unit="row", kind="file") for p in problems)
    renamed = {old: new for old, new in zip(header, names, strict=True) if new is not None}
    for number, values in enumerate(dataset.select_columns(list(renamed)), 1):
        yield Record(number, {renamed[name]: value for name, value in values.items()}, "row")
