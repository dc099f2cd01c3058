"""Rows of prompts from CSV, TSV, JSONL, Parquet and text files, with their line numbers; and files from rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pandas as pd

from daam_syntax.errors import FileError, PromptError
from daam_syntax.language.prompt_sets.problems import RowProblem, Unit, excerpt
from daam_syntax.language.prompt_sets.rows import GROUPS, Prompt, columns_of, unknown_columns
from daam_syntax.util.whole_files import whole_file

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")  # the first bytes of UTF-16 and UTF-32


@dataclass(frozen=True)
class Record:
    """The fields of a row, and where it stands."""

    row: int
    values: Mapping[str, Any]
    unit: Unit = "line"


Rows = Iterator[Record | RowProblem]
Renames = Mapping[str, str]
"""Column of a file to column of the set; columns that are not named are passed over."""


# -- reading ---------------------------------------------------------------------------------------------------------


def read_csv(
    path: Path,
    columns: Renames | None = None,
    *,
    delimiter: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
) -> Rows:
    """Yield the rows of a table with a header."""
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
        lines = _csv_lines(reader)
        line, header = next(lines, (1, []))
        if isinstance(header, RowProblem):
            yield header
            return
        names, problems = _named([name.strip() for name in header], columns, path)
        yield from problems
        for line, fields in lines:
            if isinstance(fields, RowProblem):
                yield fields
            elif len(fields) != len(header):
                yield RowProblem(
                    line,
                    f"Expected {len(header)} fields, but got {len(fields)}; put text that holds the separator in "
                    "double quotes.",
                    excerpt(delimiter.join(fields)),
                )
            else:
                row = zip(names, fields, strict=True)
                yield Record(line, {name: _plain(text) for name, text in row if name is not None})


def _csv_lines(reader: Any) -> Iterator[tuple[int, list[str] | RowProblem]]:
    """Yield the first line number and the fields of each row that is not blank."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, RowProblem(line, f"Expected a row of a table, but {error}.")
        else:
            if fields:
                yield line, fields


def read_tsv(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a table whose columns are separated by tabulators."""
    return read_csv(path, columns, delimiter="\t")


def read_jsonl(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a file with one JSON object a line."""
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _json_record(line, text, columns)


def _json_record(line: int, text: str, columns: Renames | None) -> Record | RowProblem:
    try:
        values = load_json(text)
    except ValueError as error:
        return RowProblem(line, f"Expected JSON, but {error}.", excerpt(text))
    if not isinstance(values, dict):
        kind = type(values).__name__
        return RowProblem(line, f"Expected a JSON object, but got {kind}.", excerpt(text))
    if columns is not None:
        values = {columns[name]: value for name, value in values.items() if name in columns}
    return Record(line, values)


def load_json(text: str) -> Any:
    """Return a JSON value.

    Raises
    ------
    ValueError
        If it is none, names something twice, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice[:80]!r} twice")
    return found


def read_parquet(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _opened(path, text=False):  # says what is wrong with the path
        pass
    try:
        with pq.ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            names, problems = _named(header, columns, path, nested=tuple(GROUPS.values()))
            yield from (RowProblem(1, p.message, unit="row", kind="file") for p in problems)
            wanted = [name for name, new in zip(header, names, strict=True) if new is not None]
            renamed = dict(zip(header, names, strict=True))
            row = 0
            for batch in file.iter_batches(columns=wanted):
                for values in batch.to_pylist():
                    row += 1
                    yield Record(row, {renamed[n]: v for n, v in values.items()}, "row")
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise FileError(f"Expected a Parquet file {path}, but {reason}.") from error


def read_text(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the lines of a text file but blank ones and those that begin with ``#``."""
    del columns  # it has none
    for line, text in text_lines(path):
        if not text.startswith("#"):
            yield Record(line, {"prompt": text})


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers and texts of the lines that are not blank, without the space around them."""
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield line, text.strip()


@contextmanager
def _opened(path: Path, *, text: bool = True) -> Iterator[IO[Any]]:
    """Open a file; bytes that are not UTF-8 spoil their own row only, where `check_field` refuses them."""
    try:
        with path.open("rb") as file:
            if text and file.read(2) in _OTHER_ENCODINGS:
                raise FileError(f"Expected UTF-8 in {path}, but it is UTF-16; save it as UTF-8.")
        if text:
            # Only line feeds and carriage returns end lines, and csv sees them as they are.
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
                yield lines
        else:
            with path.open("rb") as raw:
                yield raw
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"Expected a file of prompts, but {path} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:  # a path with a null character
        raise FileError(f"Expected a file of prompts, but {str(path)!r}: {error}.") from error


def _named(
    header: Sequence[str], columns: Renames | None, path: Path, nested: Sequence[str] = ()
) -> tuple[list[str | None], list[RowProblem]]:
    """Return the set's name of each column, None for those passed over, and what is wrong with the header."""
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
            hint = "; separate columns by commas in CSV, by tabulators in TSV"
        messages.append(f"Expected a column '{name}' in {path}, but it has {has}{hint}.")
    return names, [RowProblem(1, message, kind="file") for message in messages]


# -- writing ---------------------------------------------------------------------------------------------------------


def write_csv(path: Path, rows: Sequence[Prompt], *, delimiter: str = ",") -> None:
    """Write a table that no spreadsheet takes for formulas; `read_csv` gives the same rows."""
    names = columns_of(rows)
    table = [
        [_inert(values.get(name, "")) for name in names] for values in map(Prompt.values, rows)
    ]
    # A bare carriage return would end the row.
    bare = any("\r" in text for fields in table for text in fields)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file,
            delimiter=delimiter,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL,
        )
        writer.writerow(names)
        writer.writerows(table)


def write_tsv(path: Path, rows: Sequence[Prompt]) -> None:
    """Write a table whose columns are separated by tabulators."""
    write_csv(path, rows, delimiter="\t")


def write_jsonl(path: Path, rows: Sequence[Prompt]) -> None:
    """Write one JSON object a line."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row.values(), ensure_ascii=False) + "\n")


def write_parquet(path: Path, rows: Sequence[Prompt]) -> None:
    """Write a Parquet file, all columns text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in columns_of(rows)])
    with whole_file(path) as partial:
        pq.write_table(pa.Table.from_pylist([row.values() for row in rows], schema), partial)


def write_text(path: Path, rows: Sequence[Prompt]) -> None:
    """Write one prompt a line.

    Raises
    ------
    PromptError
        If a prompt would not be read again as it is.
    """
    lost = [n for n in columns_of(rows) if n not in ("id", "prompt")]
    odd = [row for row in rows if row.text.strip() != row.text or re.search(r"^#|[\r\n]", row.text)]
    if lost or odd:
        what = f"the columns {', '.join(lost)}" if lost else f"the prompt {odd[0].text[:80]!r}"
        raise PromptError(
            f"Expected prompts of one line for {path}, but text has no place for {what}; write CSV or JSONL."
        )
    with whole_file(path) as partial:
        partial.write_text("".join(f"{row.text}\n" for row in rows), encoding="utf-8", newline="\n")


def _inert(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(text: str) -> str:
    """Take away the apostrophe that `_inert` puts."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def _is_missing(value: Any) -> bool:
    """Whether a cell of a table is empty: None, NaN or NA; a mapping is a value."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def records(rows: Iterable[str | Mapping[str, Any]] | pd.DataFrame) -> Rows:
    """Yield rows that are prompts, or mappings from columns to values, with their numbers from 1."""
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


def dataset_rows(dataset: Any, columns: Renames | None) -> Rows:
    """Yield the rows of a Hugging Face data set, loading only the columns that are wanted."""
    header = list(dataset.column_names)
    names, problems = _named(header, columns, Path("the data set"), nested=tuple(GROUPS.values()))
    yield from (RowProblem(1, p.message, unit="row", kind="file") for p in problems)
    renamed = {old: new for old, new in zip(header, names, strict=True) if new is not None}
    for number, values in enumerate(dataset.select_columns(list(renamed)), 1):
        yield Record(number, {renamed[name]: value for name, value in values.items()}, "row")
