"""Tables of pairs and words that lie in a folder shard by shard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.corpus.streaming import summarize_shards
from daam_syntax.corpus.tables import read_table, schema_of, to_frame


class Tables(ABC):
    """Reads tables whole or shard by shard."""

    @abstractmethod
    def _files(self, table: str) -> Iterator[Path]:
        """Yield the files of a table, each sure to be what was written."""

    def pairs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table of pairs, see `daam_syntax.analysis.PAIR_COLUMNS`; only some columns if asked."""
        return self.table("pairs", columns)

    def words(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table of words, see `daam_syntax.analysis.WORD_COLUMNS`; only some columns if asked."""
        return self.table("words", columns)

    def table(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a table by its name; only some columns if asked."""
        return pd.concat(self.shards(table, columns), ignore_index=True)

    def shards(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield a table shard by shard, so that memory does not grow with the run; once empty where none is."""
        return map(to_frame, self._parts(table, columns))

    def _parts(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        there = False
        for path in self._files(table):
            there = True
            yield read_table(path, table, columns=columns)
        if not there:
            empty = schema_of(table).empty_table()
            yield empty if columns is None else empty.select(list(columns))

    def summarize(self, by: str | Sequence[str] = "relation", **options: Any) -> pd.DataFrame:
        """Summarise the table of pairs without loading it whole; see `daam_syntax.summarize`.

        Prompts are what is independent; the first measure of the table counts if it has no IoU and none is named.
        """
        first = next(self._files("pairs"), None)
        names = schema_of("pairs").names if first is None else pq.read_schema(first).names
        return summarize_shards(partial(self._parts, "pairs"), names, by, **options)
