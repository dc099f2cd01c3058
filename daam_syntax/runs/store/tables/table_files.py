"""Read tables that are stored in one file per shard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.language import PromptSet
from daam_syntax.runs.store.tables.prompt_metadata import PromptMetadata, with_prompt_columns
from daam_syntax.runs.store.tables.schemas import read_table, schema_of, to_frame
from daam_syntax.runs.store.tables.streaming import summarize_shards
from daam_syntax.util.arguments.checks import checked


class ShardedTables(ABC):
    """Tables in one file per shard, read whole or shard by shard."""

    @property
    @abstractmethod
    def prompts(self) -> PromptSet:
        """The prompts with their metadata."""

    @abstractmethod
    def _files(self, table: str) -> Iterator[Path]:
        """Yield the files of a table, each of them verified."""

    def _stored(self, table: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """Yield a table file by file, each of them verified."""
        return (read_table(path, table, columns=columns) for path in self._files(table))

    @checked
    def pairs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table of pairs with the prompts' own columns, or only some columns of the table.

        See `daam_syntax.analysis.PAIR_COLUMNS` and `daam_syntax.language.prompt_sets.COLUMNS`.
        """
        return self._described("pairs", columns)

    @checked
    def words(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table of words with the prompts' own columns, or only some columns of the table.

        See `daam_syntax.analysis.WORD_COLUMNS` and `daam_syntax.language.prompt_sets.COLUMNS`.
        """
        return self._described("words", columns)

    def _described(self, table: str, columns: Sequence[str] | None) -> pd.DataFrame:
        frame = self.table(table, columns)
        return with_prompt_columns(frame, self.prompts) if columns is None else frame

    @checked
    def table(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a table by its name as it is stored, or only some of its columns."""
        return pd.concat(self.shards(table, columns), ignore_index=True)

    @checked
    def shards(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield a table shard by shard, to limit memory; if there are no shards, yield one empty table."""
        return map(to_frame, self._parts(table, columns))

    def _parts(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        is_empty = True
        for rows in self._stored(table, columns):
            is_empty = False
            yield rows
        if is_empty:
            empty = schema_of(table).empty_table()
            yield empty if columns is None else empty.select(list(columns))

    @checked
    def summarize(self, by: str | Sequence[str] = "relation", **options: Any) -> pd.DataFrame:
        """Summarize the table of pairs without loading it whole; see `daam_syntax.summarize`.

        Prompts are the independent units. If no measure is given and the table has no IoU, its first measure is used.

        Parameters
        ----------
        by
            Columns of the table, or of the prompts (see `PromptSet`): category, pair, slot.NAME, ... A name that both
            have refers to the table's column. Prompts without a value form the group "".
        **options
            Further arguments of `daam_syntax.summarize`, except ``cluster``.

        Raises
        ------
        ValueError
            If a column does not exist; the message lists those that do.
        """
        wanted = [by] if isinstance(by, str) else list(by)
        first = next(self._files("pairs"), None)
        names = schema_of("pairs").names if first is None else pq.read_schema(first).names
        metadata = None if set(wanted) <= set(names) else PromptMetadata(self.prompts, names)

        def parts(columns: Sequence[str]) -> Iterator[pa.Table]:
            if metadata is None:
                return self._parts("pairs", columns)
            stored = [name for name in columns if name not in metadata.columns]
            return (metadata.join(part, columns) for part in self._parts("pairs", stored))

        available = names if metadata is None else [*names, *metadata.columns]
        return summarize_shards(parts, available, wanted, **options)
