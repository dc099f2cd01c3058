"""Writing the files of one shard, batch by batch, so that memory does not grow with the shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.records import Written, describe_file
from daam_syntax.runs.store.schemas import TABLES, from_problems, schema_of, with_identity

_LARGE: Final = ("values", "picture")
"""Columns in which no value comes twice, so that a dictionary of them would be in vain."""


class ShardFiles:
    """The tables of a shard while it is drawn; each batch becomes one row group of each.

    Parameters
    ----------
    work
        The folder to write ``<table>.parquet`` into.
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
        # Where an error is under way, it matters more than another one: the files are thrown away.
        with suppress(OSError) if error else nullcontext():
            self._open.close()

    def add(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table."""
        if rows.num_rows:
            self._writer(table, rows.schema).write_table(rows)
            self._rows[table] += rows.num_rows

    def _writer(self, table: str, schema: pa.Schema) -> pq.ParquetWriter:
        if table not in self._writers:
            plain = [name for name in schema.names if name not in _LARGE]
            writer = pq.ParquetWriter(
                self._work / f"{table}.parquet",
                schema,
                compression="zstd",  # DuckDB cannot read the denser encodings of 16-bit floats
                use_dictionary=plain,
            )
            self._writers[table] = self._open.enter_context(writer)
        return self._writers[table]

    def finish(self, problems: Sequence[Problem]) -> dict[str, Written]:
        """Close all files, also those without rows, and describe them."""
        self.add("problems", from_problems(problems))
        for table in TABLES:
            self._writer(table, with_identity(schema_of(table), table))
        self._open.close()
        return {
            table: describe_file(self._work / f"{table}.parquet", rows)
            for table, rows in self._rows.items()
        }
