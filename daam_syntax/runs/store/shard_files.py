"""Write the files of one shard batch by batch, so that memory does not grow with the shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.records import FileRecord, describe_file
from daam_syntax.runs.store.schemas import TABLES, from_problems, schema_of, with_identity

_WITHOUT_DICTIONARY: Final = ("values", "picture")
"""Columns whose values never repeat, so that a dictionary would only cost space."""


class ShardFiles:
    """The tables of a shard while it is drawn. Each batch becomes one row group of each table.

    Parameters
    ----------
    work
        The folder in which to write ``<table>.parquet``.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows = dict.fromkeys(TABLES, 0)
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
            self._writer(table, rows.schema).write_table(rows)
            self._rows[table] += rows.num_rows

    def _writer(self, table: str, schema: pa.Schema) -> pq.ParquetWriter:
        if table not in self._writers:
            with_dictionary = [name for name in schema.names if name not in _WITHOUT_DICTIONARY]
            writer = pq.ParquetWriter(
                self._work / f"{table}.parquet",
                schema,
                compression="zstd",  # DuckDB cannot read the denser encodings of 16-bit floats
                use_dictionary=with_dictionary,
            )
            self._writers[table] = self._open.enter_context(writer)
        return self._writers[table]

    def finish(self, problems: Sequence[Problem]) -> dict[str, FileRecord]:
        """Write the problems, close all files, including those without rows, and return their records."""
        self.add("problems", from_problems(problems))
        for table in TABLES:
            self._writer(table, with_identity(schema_of(table), table))
        self._open.close()
        return {
            table: describe_file(self._work / f"{table}.parquet", rows)
            for table, rows in self._rows.items()
        }
