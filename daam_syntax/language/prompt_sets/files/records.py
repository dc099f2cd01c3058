"""Records: the rows of a file, a table or a data set before they are checked."""

from __future__ import annotations

import numbers
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.errors import RowProblem, RowUnit
from daam_syntax.language.prompt_sets.rows import (
    GROUPS,
    MOST_COLUMNS,
    Prompt,
    is_column,
    metadata_name,
    similar_column,
    unknown_columns,
)

_SCALAR: Final = re.compile(r"(large_)?string|u?int|float|double|bool|null")
"""How the names of types of texts and numbers begin."""


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
    header: Sequence[str],
    columns: Renames | None,
    source: str,
    nested: Sequence[str] = (),
    other: Collection[str] = (),
    lines: Mapping[str, int] = MappingProxyType({}),
) -> tuple[list[str | None], list[RowProblem]]:
    """Match the columns of a file with those of a set of prompts.

    Parameters
    ----------
    header
        The columns of the file.
    columns
        The columns to read and their names in the set. None to read all: columns that a set does not have become
        metadata, which a problem of the kind "column" says, unless they look like a misspelt column of a set.
    source
        The file, for messages.
    nested
        Names of columns that hold mappings.
    other
        Names of columns that hold neither texts nor numbers, and so cannot become metadata.
    lines
        The first line that has a column, for files without a header line.

    Returns
    -------
    names : list of str or None
        The name of each column in the set, None for a column that is skipped.
    problems : list of RowProblem
        All problems of the header.
    """
    if len(header) > MOST_COLUMNS:
        message = f"Expected at most {MOST_COLUMNS:,} columns, but got {len(header):,}."
        return [None] * len(header), [RowProblem(1, message, kind="file")]
    messages = [
        f"Expected each column once, but got {name[:80]!r} twice."
        for name, n in Counter(header).items()
        if n > 1
    ]
    kept: dict[str, str] = {}
    misspelt: set[str] = set()
    left_out: set[str] = set()
    names: list[str | None]
    if columns is not None:
        names = [columns.get(name) for name in header]
        missing = [name for name in columns if name not in header]
    else:
        unknown = [name for name in header if not is_column(name) and name not in nested]
        misspelt = {name for name in unknown if similar_column(name)}
        left_out = {name for name in unknown if name in other} - misspelt
        dropped = misspelt | left_out
        kept = _as_metadata([name for name in unknown if name not in dropped], header)
        names = [None if name in dropped else kept.get(name, name) for name in header]
        missing = [] if "prompt" in header else ["prompt"]
        if missing and len(unknown) == len(header):
            misspelt = set()
    for name in missing:
        has = ", ".join(_printable(column[:80]) for column in header[:20]) or "none"
        hint = "; rename the column that holds the prompts" if header and columns is None else ""
        if len(header) == 1 and any(mark in header[0] for mark in ",;\t"):
            hint = "; separate columns by commas in CSV, by tabs in TSV"
        messages.append(f"Expected a column '{name}' in {source}, but it has {has}{hint}.")
    problems = [RowProblem(1, message, kind="file") for message in messages]
    for name in sorted(misspelt):
        problems += [
            RowProblem(lines.get(name, 1), message, kind="file")
            for message in unknown_columns([name])
        ]
    if left_out and not missing:
        shown = ", ".join(repr(name[:80]) for name in sorted(left_out)[:20])
        message = f"Columns that hold neither texts nor numbers were left out: {shown}."
        line = min(lines.get(name, 1) for name in left_out)
        problems.append(RowProblem(line, message, kind="column"))
    if kept and not missing:
        shown = ", ".join(f"{name[:80]!r} as {new!r}" for name, new in list(kept.items())[:20])
        more = f" and {len(kept) - 20} more" if len(kept) > 20 else ""
        message = (
            f"Columns that a set of prompts does not have were kept as metadata: {shown}{more}."
        )
        line = min(lines.get(name, 1) for name in kept)
        problems.append(RowProblem(line, message, kind="column"))
    return names, problems


def _printable(name: str) -> str:
    """Return the name of a column with control characters escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def _as_metadata(names: Sequence[str], header: Sequence[str]) -> dict[str, str]:
    """Return a column of metadata for each of these columns, different from all columns of the header."""
    taken = set(header)
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        new = wanted = metadata_name(name)
        number = 1
        while new in taken:
            number += 1
            new = f"{wanted}_{number}"
        taken.add(new)
        found[name] = new
    return found


def given_records(rows: Iterable[str | Mapping[str, Any] | Prompt] | pd.DataFrame) -> Rows:
    """Yield the rows of a table, or prompts and mappings from columns to values, numbered from 1."""
    if isinstance(rows, pd.DataFrame):
        yield from _table_records(rows)
        return
    for number, row in enumerate(rows, 1):
        if isinstance(row, Prompt):
            yield Record(number, row.values(), "row")
        else:
            yield Record(number, row if isinstance(row, Mapping) else {"prompt": row}, "row")


def _table_records(table: pd.DataFrame) -> Rows:
    """Yield the rows of a table; columns that a set does not have become metadata, as those of a file.

    An index with a name is a column, as it is after ``table.set_index("id")``.
    """
    named = [level for level, name in enumerate(table.index.names) if name is not None]
    if named:
        table = table.reset_index(level=named, allow_duplicates=True)
    header = [str(name) for name in table.columns]
    nested = tuple(GROUPS.values())
    names, problems = set_columns(header, None, "the table", nested, _without_text(table, header))
    yield from (replace(problem, unit="row") for problem in problems)
    if any(problem.kind == "file" for problem in problems):
        return
    for number, values in enumerate(table.itertuples(index=False, name=None), 1):
        row = zip(names, values, strict=True)
        yield Record(number, {k: v for k, v in row if k is not None and not _is_missing(v)}, "row")


def _without_text(table: pd.DataFrame, header: Sequence[str]) -> set[str]:
    """Return the names of columns that have neither texts nor numbers, such as those of lists and dates."""
    taken = (str, numbers.Real, np.bool_)
    return {
        name
        for place, name in enumerate(header)
        if not all(isinstance(v, taken) or _is_missing(v) for v in table.iloc[:, place])
    }


def _is_missing(value: Any) -> bool:
    """Whether a cell of a table is empty: None, NaN or NA. A mapping is a value."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def dataset_records(dataset: Any, columns: Renames | None) -> Rows:
    """Yield the rows of a Hugging Face data set; only the columns that are read are loaded."""
    header = list(dataset.column_names)
    types = {name: str(getattr(kind, "dtype", "other")) for name, kind in dataset.features.items()}
    other = {name for name, kind in types.items() if not _SCALAR.match(kind)}
    nested = tuple(GROUPS.values())
    names, problems = set_columns(header, columns, "the data set", nested, other)
    yield from (replace(problem, unit="row") for problem in problems)
    renamed = {old: new for old, new in zip(header, names, strict=True) if new is not None}
    for number, values in enumerate(dataset.select_columns(list(renamed)), 1):
        yield Record(number, {renamed[name]: value for name, value in values.items()}, "row")
