"""Tables of pairs and words that lie in a folder shard by shard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.language import PromptSet
from daam_syntax.runs.prompt_metadata import PromptMetadata
from daam_syntax.runs.store.schemas import read_table, schema_of, to_frame
from daam_syntax.runs.store.streaming import summarize_shards


class Tables(ABC):
    """Reads tables whole or shard by shard."""

    @property
    @abstractmethod
    def prompts(self) -> PromptSet:
        """The prompts, and what was known of them."""

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

        Parameters
        ----------
        by
            Columns of the table, or of the prompts (see `PromptSet`): category, pair, slot.NAME, ... A name that both
            have means the table's column. Prompts of which a column is not known make the group "".
        **options
            More of `daam_syntax.summarize`, but for its ``cluster``.

        Raises
        ------
        ValueError
            If there is no such column; the message says which there are.
        """
        wanted = [by] if isinstance(by, str) else list(by)
        first = next(self._files("pairs"), None)
        names = schema_of("pairs").names if first is None else pq.read_schema(first).names
        known = None if set(wanted) <= set(names) else PromptMetadata(self.prompts, names)

        def parts(columns: Sequence[str]) -> Iterator[pa.Table]:
            if known is None:
                return self._parts("pairs", columns)
            stored = [name for name in columns if name not in known.columns]
            return (known.joined(part, columns) for part in self._parts("pairs", stored))

        there = names if known is None else [*names, *known.columns]
        return summarize_shards(parts, there, wanted, **options)
