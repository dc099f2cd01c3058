"""Read and write prompts as CSV, TSV, JSON lines, Parquet and plain text."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from daam_syntax.errors import FileError, PromptError, RowProblem
from daam_syntax.language.prompt_sets.files.records import Record, Renames, Rows, set_columns
from daam_syntax.language.prompt_sets.problems import excerpt
from daam_syntax.language.prompt_sets.rows import (
    GROUPS,
    MOST_COLUMNS,
    Prompt,
    columns_of,
    is_column,
)
from daam_syntax.util.whole_files import whole_file

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_MOST_ROWS: Final = 1_000_000
_MOST_LINES: Final = 2 * _MOST_ROWS  # some are blank, or in a text
_MOST_BYTES: Final = 100_000  # of a text; one of 10,000 characters has at most 40,000
_FEW: Final = 1_000  # rows of a Parquet file of unknown origin in memory
_AT_ONCE: Final = 10_000  # rows of a Parquet file in memory
_OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 and UTF-32 begin


# -- reading ---------------------------------------------------------------------------------------------------------


def read_csv(
    path: Path,
    columns: Renames | None = None,
    *,
    delimiter: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
) -> Rows:
    """Yield the rows of a delimited table with a header line."""
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
        lines = _csv_lines(reader)
        line, header = next(lines, (1, []))
        if isinstance(header, RowProblem):
            yield header
            return
        names, problems = set_columns([name.strip() for name in header], columns, str(path))
        yield from problems
        for line, fields in lines:
            if isinstance(fields, RowProblem):
                yield fields
            elif len(fields) != len(header):
                yield RowProblem(
                    line,
                    f"Expected {len(header)} fields, but got {len(fields)}; put text with the separator in it "
                    f"in double quotes.{_extent(line, reader.line_num)}",
                    excerpt(delimiter.join(fields)),
                )
            else:
                row = zip(names, fields, strict=True)
                yield Record(line, {name: _plain(text) for name, text in row if name is not None})


def _csv_lines(reader: Any) -> Iterator[tuple[int, list[str] | RowProblem]]:
    """Yield the first line number and the fields of each row, except blank rows."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lost = _extent(line, reader.line_num)
            yield line, RowProblem(line, f"Expected a row of a table, but {error}.{lost}")
        else:
            if fields:
                yield line, fields


def _extent(first: int, last: int) -> str:
    """Return a sentence about all lines that were read as one row, whose prompts are lost; "" for one line."""
    if last <= first:
        return ""
    return (
        f" The lines {first:,} to {last:,} were read as this one row; is a double quote not closed?"
    )


def read_tsv(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a table whose columns are separated by tabs."""
    return read_csv(path, columns, delimiter="\t")


def read_jsonl(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a file with one JSON object on each line.

    The file is read twice: keys that a set does not have become metadata, and a key may occur in any line.
    """
    if columns is not None:
        for row in json_lines(path):
            if isinstance(row, Record):
                row = replace(
                    row, values={columns[k]: v for k, v in row.values.items() if k in columns}
                )
            yield row
        return
    lines, other = _keys(path)
    names, problems = set_columns(
        list(lines), None, str(path), tuple(GROUPS.values()), other, lines
    )
    if lines:
        yield from problems
    if len(lines) > MOST_COLUMNS:
        return
    renamed = dict(zip(lines, names, strict=True))
    for row in json_lines(path):
        if isinstance(row, Record) and len(row.values) <= MOST_COLUMNS:
            kept = {renamed[name]: value for name, value in row.values.items()}
            row = replace(row, values={k: v for k, v in kept.items() if k is not None})
        yield row


def _keys(path: Path) -> tuple[dict[str, int], set[str]]:
    """Return the first line with each key of a file of JSON lines, and the keys of lists and objects.

    Keys inside ``slots`` and ``metadata`` are columns, too. Rows of too many keys, which are refused, do not count.
    """
    lines: dict[str, int] = {}
    other: set[str] = set()
    groups = {attribute: prefix for prefix, attribute in GROUPS.items()}
    for row in json_lines(path):
        if not isinstance(row, Record) or len(row.values) > MOST_COLUMNS:
            continue
        for name, value in row.values.items():
            lines.setdefault(name, row.row)
            if name not in groups:
                if isinstance(value, list | dict):
                    other.add(name)
            elif isinstance(value, dict) and len(value) <= MOST_COLUMNS:
                inner = (f"{groups[name]}.{key}" for key in value)
                lines.update(
                    dict.fromkeys((k for k in inner if is_column(k) and k not in lines), row.row)
                )
        if len(lines) > MOST_COLUMNS:
            break
    return lines, other


def json_lines(path: Path) -> Rows:
    """Yield the JSON object of each line with its own keys."""
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _json_record(line, text)


def _json_record(line: int, text: str) -> Record | RowProblem:
    try:
        values = load_json(text)
    except ValueError as error:
        return RowProblem(line, f"Expected JSON, but {error}.", excerpt(text))
    if not isinstance(values, dict):
        kind = type(values).__name__
        return RowProblem(line, f"Expected a JSON object, but got {kind}.", excerpt(text))
    return Record(line, values)


def load_json(text: str) -> Any:
    """Parse a JSON value.

    Raises
    ------
    ValueError
        If the text is not JSON, an object has a key twice, or the nesting is too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise ValueError(f"it has {twice[:80]!r} twice")
    return found


def read_parquet(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _opened(path, text=False):  # for its errors about the path
        pass
    try:
        # A short dictionary can stand for gigabytes of equal texts, so it is not written out.
        texts = [f.name for f in pq.read_schema(path) if pa.types.is_string(f.type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            header = list(file.schema_arrow.names)
            _check_size(path, file.metadata.num_rows)
            kinds = file.schema_arrow
            other = {each.name for each in kinds if not _is_scalar(each.type)}
            nested = tuple(GROUPS.values())
            names, problems = set_columns(header, columns, str(path), nested, other)
            yield from (replace(problem, unit="row") for problem in problems)
            if any(problem.kind == "file" for problem in problems):
                return
            wanted = [name for name, new in zip(header, names, strict=True) if new is not None]
            renamed = dict(zip(header, names, strict=True))
            row = 0
            for batch in file.iter_batches(_FEW, columns=wanted):
                _check_values(path, batch)
                for values in batch.to_pylist():
                    row += 1
                    yield Record(row, {renamed[n]: v for n, v in values.items()}, "row")
    except FileError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise FileError(f"Expected a Parquet file {path}, but {reason}.") from error


def _check_size(path: Path, n_rows: int) -> None:
    if n_rows > _MOST_ROWS:
        raise FileError(
            f"Expected at most {_MOST_ROWS:,} prompts in {path}, but it has {n_rows:,} rows; divide it."
        )


def _is_scalar(kind: Any) -> bool:
    """Whether a type of Arrow is that of texts or numbers."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    more = (pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(check(kind) for check in (*checks, *more))


def _check_values(path: Path, batch: Any) -> None:
    """Raise if a text is so long that a few rows of it would fill the memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > _MOST_BYTES:
                raise FileError(
                    f"Expected texts of at most {_MOST_BYTES:,} bytes in {path}, but {name[:80]!r} has one of "
                    f"{longest:,}."
                )


def read_text(path: Path, columns: Renames | None = None) -> Rows:
    """Yield the lines of a text file, except blank lines and those that begin with ``#``."""
    del columns  # plain text has none
    for line, text in text_lines(path):
        if not text.startswith("#"):
            yield Record(line, {"prompt": text})


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and stripped text of each line that is not blank."""
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield line, text.strip()


@contextmanager
def _opened(path: Path, *, text: bool = True) -> Iterator[IO[Any]]:
    """Open a file for reading.

    Bytes that are not UTF-8 become surrogates, so only their own row is refused, by `check_field`.
    """
    try:
        with path.open("rb") as file:
            if text and _is_wide(file.read(4)):
                raise FileError(
                    f"Expected UTF-8 in {path}, but it is UTF-16 or UTF-32; save it as UTF-8."
                )
            n_lines = _count_lines(file) if text else 0
        if n_lines > _MOST_LINES:
            raise FileError(
                f"Expected at most {_MOST_LINES:,} lines in {path}, but it has {n_lines:,}; divide it."
            )
        if text:
            # Only line feeds and carriage returns end lines; `newline=""` passes them to csv unchanged.
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


def _is_wide(start: bytes) -> bool:
    """Whether a file begins as UTF-16 or UTF-32 do: with their mark, or with zeros beside a letter."""
    marked = start[:2] in _OTHER_ENCODINGS
    return marked or (len(start) == 4 and any(start) and b"\0" in (start[:1], start[1:2]))


def _count_lines(file: IO[bytes]) -> int:
    """Return the number of lines, whatever ends them."""
    file.seek(0)
    counts = [0, 0]
    while block := file.read(1 << 20):
        counts = [n + block.count(mark) for n, mark in zip(counts, (b"\n", b"\r"), strict=True)]
    return max(counts)


# -- writing ---------------------------------------------------------------------------------------------------------


def write_csv(path: Path, rows: Sequence[Prompt], *, delimiter: str = ",") -> None:
    """Write a table in which spreadsheets find no formulas; `read_csv` returns the same rows."""
    names = columns_of(rows)
    table = [
        [_inert(values.get(name, "")) for name in names] for values in map(Prompt.values, rows)
    ]
    # An unquoted carriage return would end the row.
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
    """Write a table whose columns are separated by tabs."""
    write_csv(path, rows, delimiter="\t")


def write_jsonl(path: Path, rows: Sequence[Prompt]) -> None:
    """Write one JSON object on each line."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row.values(), ensure_ascii=False) + "\n")


def write_parquet(path: Path, rows: Sequence[Prompt]) -> None:
    """Write a Parquet file with text columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in columns_of(rows)])
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for some in _chunks(rows):
            writer.write_table(pa.Table.from_pylist([row.values() for row in some], schema))


def holds_parquet(path: Path, rows: Sequence[Prompt]) -> bool:
    """Whether a Parquet file has exactly these rows. Compares them some at a time, so it needs little memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    left = iter(rows)
    try:
        with pq.ParquetFile(path) as file:
            schema = pa.schema([(name, pa.string()) for name in columns_of(rows)])
            if file.schema_arrow.remove_metadata() != schema or file.metadata.num_rows != len(rows):
                return False
            return all(
                batch
                == pa.RecordBatch.from_pylist(
                    [row.values() for row in islice(left, len(batch))], schema
                )
                for batch in file.iter_batches(_AT_ONCE)
            )
    except (pa.ArrowException, OSError, ValueError):
        return False


def _chunks(rows: Sequence[Prompt]) -> Iterator[Sequence[Prompt]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


def write_text(path: Path, rows: Sequence[Prompt]) -> None:
    """Write one prompt on each line.

    Raises
    ------
    PromptError
        If reading the file would not return the same prompts, or the prompts have other columns.
    """
    lost = [n for n in columns_of(rows) if n not in ("id", "prompt")]
    odd = [row for row in rows if row.text.strip() != row.text or re.search(r"^#|[\r\n]", row.text)]
    if lost or odd:
        what = f"the columns {', '.join(lost)}" if lost else f"the prompt {odd[0].text[:80]!r}"
        raise PromptError(
            f"Expected only one-line prompts for {path}, but a text file has no place for {what}; write CSV or JSONL."
        )
    with whole_file(path) as partial:
        partial.write_text("".join(f"{row.text}\n" for row in rows), encoding="utf-8", newline="\n")


def _inert(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would read as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(text: str) -> str:
    """Remove the apostrophe that `_inert` adds."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text
