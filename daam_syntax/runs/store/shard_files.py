"""Write the files of one shard batch by batch, so that memory does not grow with the shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.checksums import sealed, unsealed
from daam_syntax.runs.store.records import FileRecord, ShardRecord, describe_file
from daam_syntax.runs.store.tables.schemas import (
    TABLES,
    Stamp,
    from_problems,
    schema_of,
    with_identity,
)
from daam_syntax.util.regular_files import check_regular

_WITHOUT_DICTIONARY: Final = ("values", "picture")
"""Columns whose values never repeat, so that a dictionary would only cost space."""

_LARGEST_PROBLEMS: Final = 2**30  # bytes; a problem has some hundred
_RECORD: Final = b"daam_syntax_record"
"""Key of the metadata of a shard's table of problems, which is written last and describes the other files."""


class ShardFiles:
    """The tables of a shard while it is drawn. Each batch becomes one row group of each table.

    Parameters
    ----------
    work
        The folder in which to write ``<table>.parquet``.
    stamp
        The origin of the files.
    map_dtype
        Number format of the maps, and of attention between words.
    tables
        The tables, see `tables_of`.
    """

    def __init__(
        self,
        work: Path,
        stamp: Stamp,
        map_dtype: str = "float16",
        tables: Sequence[str] = TABLES,
    ) -> None:
        self._work = work
        self._stamp = stamp
        self._map_dtype = map_dtype
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows = dict.fromkeys(tables, 0)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error the files are discarded, so an error of closing them must not replace it.
        with suppress(OSError) if error else nullcontext():
            self._open.close()

    def add(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table."""
        if rows.num_rows:
            writer = self._writer(table, rows.schema)
            writer.write_table(rows.replace_schema_metadata(writer.schema.metadata))
            self._rows[table] += rows.num_rows

    def _writer(
        self, table: str, schema: pa.Schema, more: dict[bytes, str] | None = None
    ) -> pq.ParquetWriter:
        if table not in self._writers:
            stamped = with_identity(schema, table, self._stamp)
            writer = pq.ParquetWriter(
                self._work / f"{table}.parquet",
                stamped.with_metadata({**(stamped.metadata or {}), **(more or {})}),
                compression="zstd",  # DuckDB cannot read the denser encodings of 16-bit floats
                use_dictionary=[name for name in schema.names if name not in _WITHOUT_DICTIONARY],
            )
            self._writers[table] = self._open.enter_context(writer)
        return self._writers[table]

    def finish(
        self, problems: Sequence[Problem], n_images: int, n_failed: int, seconds: float
    ) -> ShardRecord:
        """Close all files, including those without rows, write the problems, and return the record of the shard."""
        others = [table for table in self._rows if table != "problems"]
        for table in others:
            self._writer(table, schema_of(table, self._map_dtype))
        self._open.close()
        files = {table: self._describe(table) for table in others}
        record = ShardRecord(self._stamp.shard, files, n_images, n_failed, seconds)
        rows = from_problems(problems)
        writer = self._writer("problems", rows.schema, {_RECORD: sealed(record.as_dict())})
        writer.write_table(rows.replace_schema_metadata(writer.schema.metadata))
        writer.close()
        self._rows["problems"] = rows.num_rows
        return replace(record, files={**files, "problems": self._describe("problems")})

    def _describe(self, table: str) -> FileRecord:
        return describe_file(self._work / f"{table}.parquet", self._rows[table])


def embedded_record(path: Path) -> ShardRecord:
    """Return the record of a shard that its table of problems contains.

    Raises
    ------
    ValueError, OSError
        If the file is damaged, or has none.
    """
    check_regular(path, _LARGEST_PROBLEMS)
    with pq.ParquetFile(path) as file:
        metadata: dict[bytes, Any] = file.schema_arrow.metadata or {}
        values = unsealed(metadata.get(_RECORD, b"").decode())
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        if (n_bytes := sum(group.total_byte_size for group in groups)) > _LARGEST_PROBLEMS:
            raise ValueError(f"it has {n_bytes:,} bytes uncompressed")
        n_rows = file.read().num_rows
    own = vars(describe_file(path, n_rows))
    return ShardRecord.from_dict({**values, "files": {**values["files"], "problems": own}})
