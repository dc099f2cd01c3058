"""Read a run: its tables, heat maps, and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.errors import FileError
from daam_syntax.language import PromptSet, Sentence
from daam_syntax.maps import HeatMaps, WordAttention
from daam_syntax.runs.problems import PROBLEM_COLUMNS, Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.contents.ranges import impossible
from daam_syntax.runs.store.contents.verified_tables import VerifiedTables
from daam_syntax.runs.store.images import decoded
from daam_syntax.runs.store.manifest import MANIFEST
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder, entries_digest
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.stored_attention import from_attention_table
from daam_syntax.runs.store.stored_maps import from_table, parse_of
from daam_syntax.runs.store.tables.schemas import (
    IMAGES_SCHEMA,
    PROBLEMS_SCHEMA,
    Stamp,
    from_problems,
    read_table,
    tables_of,
    to_frame,
)
from daam_syntax.runs.store.tables.table_files import ShardedTables
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.whole_files import errors_with

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS = [name for name in IMAGES_SCHEMA.names if name != "picture"]
_SHOWN = [name for name in _ROWS if name != "sentence"]


class RunReader(ShardedTables):
    """The finished shards of a run. Every file is compared with its checksum when it is first read.

    Parameters
    ----------
    path
        The folder that `run` wrote.

    Raises
    ------
    FileError
        If the folder is not that of a run, or is of an unknown version.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder(path)
        self._folder.shards.check_folders()
        self._manifest = self._folder.manifest()
        with errors_with(self.path / MANIFEST):
            self.settings = RunSettings.from_dict(self._manifest["settings"])
        self.plan = ShardPlan.from_dict(self._manifest["plan"])
        self._digest = entries_digest(self._manifest)
        self._last: tuple[str, Sentence] | None = None
        self._verified = VerifiedTables(
            self._folder, self._manifest["run"], self._digest, self.settings, self.plan
        )

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """One entry for each time the run was started: images drawn, time, memory, library versions."""
        return list(self._manifest["sessions"])

    @cached_property
    def records(self) -> tuple[ShardRecord, ...]:
        """The records of the finished shards, in order; those that were lost are read from the shards themselves."""
        shards = self._folder.shards
        numbers = sorted({*shards.numbers(), *shards.numbers("problems")})
        found = (self._record(number) for number in numbers if number < self.plan.n_shards)
        return tuple(record for record in found if record is not None)

    def _record(self, shard: int) -> ShardRecord | None:
        n_images, tables = self.plan.size(shard), tables_of(self.settings.relations)
        record = self._folder.shards.record(shard, n_images)
        if record is not None:
            return record
        stamp = Stamp(self._manifest["run"], shard, self._digest)
        return self._folder.shards.embedded_record(stamp, n_images, tables)

    @property
    def is_complete(self) -> bool:
        """Whether all shards are finished."""
        return len(self.records) == self.plan.n_shards

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The parses of the prompts of finished shards, in order."""
        rows = self.table("images", ["image", "prompt", "sentence"])
        first = rows.drop_duplicates("prompt").sort_values("image")
        with errors_with(self.path / "images"):
            return tuple(
                parse_of({str(name): value for name, value in row.items()})
                for row in first.to_dict("records")
            )

    @cached_property
    def prompts(self) -> PromptSet:
        """The prompts with their metadata (categories, pairs, slots); the column ``prompt`` joins them to tables."""
        return self._folder.prompts()

    def images(self) -> pd.DataFrame:
        """Return the table of images without their pixels; failed images have rows with a reason."""
        return self.table("images", _SHOWN)

    def problems(self) -> pd.DataFrame:
        """Return the table of problems, first of finished shards, then of sessions; see `PROBLEM_COLUMNS`."""
        frames = [self.table("problems", None)]
        for path in sorted((self.path / "problems").glob("*.parquet")):
            if not path.name.startswith("part-"):
                try:
                    rows = read_table(path, "problems", PROBLEMS_SCHEMA)
                except FileError as error:  # the other files can still be read
                    lost = Problem("check", "damaged file", str(error), "Its problems are lost.")
                    rows = from_problems([lost])
                frames.append(to_frame(rows))
        filled = [frame for frame in frames if len(frame)]
        if not filled:
            return pd.DataFrame(columns=list(PROBLEM_COLUMNS))
        return pd.concat(filled, ignore_index=True)

    @checked
    def maps(self, where: Callable[[dict[str, Any]], bool] | None = None) -> Iterator[HeatMaps]:
        """Yield the stored heat maps in the order of the images, with one batch in memory at a time.

        Parameters
        ----------
        where
            Function that selects images by their rows in the table of images (dictionaries). If None, all images that
            were drawn.

        Raises
        ------
        FileError
            If a file is damaged. The message names the file and says what to do.
        """
        for _, maps in self.numbered_maps(where):
            yield maps

    @checked
    def numbered_maps(
        self, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, HeatMaps]]:
        """Yield the numbers of the images with their heat maps; see `maps`."""
        for record in self.records:
            yield from self.shard_maps(record, where)

    def shard_maps(
        self, record: ShardRecord, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, HeatMaps]]:
        """Yield the numbers of the images of a finished shard with their heat maps; see `maps`."""
        for row, rows in self._rows_by_image(record, "maps", where):
            with errors_with(self._folder.shards.file("maps", record.shard)):
                maps = from_table(rows, row, self._parse_of(row))
            yield row["image"], maps

    @checked
    def word_attention(
        self, relation: str, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[WordAttention]:
        """Yield the stored attention between words in the order of the images, with one batch in memory at a time.

        Parameters
        ----------
        relation
            "text-text" or "refiner", one for each image; or "encoder", one for each image and text encoder. The run
            must have been drawn with it, see `daam_syntax.runs.run`.
        where
            Function that selects images, see `maps`.

        Raises
        ------
        FileError
            If the run did not store the relation, or a file is damaged.
        """
        if relation not in self.settings.relations:
            stored = ", ".join(self.settings.relations) or "no relation between words"
            raise FileError(
                f"Expected a run with {relation!r} attention, but {self.path} has {stored}: draw it into another "
                f"folder with relations=[{relation!r}] (--relation {relation})."
            )
        for record in self.records:
            for _, found in self.shard_attention(record, where):
                yield from (each for each in found if each.relation == relation)

    def shard_attention(
        self, record: ShardRecord, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, list[WordAttention]]]:
        """Yield the numbers of the images of a finished shard with their attention between words, if it is stored."""
        if self.settings.relations:
            for row, rows in self._rows_by_image(record, "attention", where):
                with errors_with(self._folder.shards.file("attention", record.shard)):
                    attention = from_attention_table(rows, row, self._parse_of(row))
                yield row["image"], attention

    def _rows_by_image(
        self,
        record: ShardRecord,
        table: str,
        where: Callable[[dict[str, Any]], bool] | None,
    ) -> Iterator[tuple[dict[str, Any], pa.Table]]:
        """Yield the row of each selected image of a shard with its rows in another table."""
        wanted = self._image_rows(record, where)
        if not wanted:
            return
        path = self._verified_file(record, table)
        seen: set[int] = set()
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                numbers = file.read_row_group(group, columns=["image"])["image"].to_pylist()
                if not wanted.keys() & set(numbers):
                    continue
                rows = file.read_row_group(group)
                if divided := seen.intersection(numbers):
                    found = f"those of image {min(divided)} are in several"
                    raise impossible(path, "the rows of an image in one group", found)
                seen.update(numbers)
                for number in dict.fromkeys(numbers):
                    if number in wanted:
                        start, n = numbers.index(number), numbers.count(number)
                        yield wanted[number], rows.slice(start, n)

    @checked
    def pil_images(
        self, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, Image]]:
        """Yield the numbers of the images with the images themselves, with one shard in memory at a time.

        Parameters
        ----------
        where
            Function that selects images, see `maps`. If None, all images that are stored.

        Raises
        ------
        FileError
            If an image is damaged.
        """
        for record in self.records:
            path = self._folder.shards.file("images", record.shard)
            for number, row, content in self.stored_images(record, where):
                yield number, decoded(content, (row["height"], row["width"]), number, path)

    def stored_images(
        self, record: ShardRecord, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, dict[str, Any], bytes]]:
        """Yield number, row, and PNG file of the images of a finished shard; see `pil_images`."""
        wanted = self._image_rows(record, where)
        if not wanted:
            return
        path = self._folder.shards.file("images", record.shard)
        table = read_table(path, "images", IMAGES_SCHEMA, ["image", "picture"])
        for stored in table.to_pylist():
            if stored["image"] not in wanted:
                continue
            if (stored["picture"] is None) == self.settings.keep_images:
                has = "one" if stored["picture"] else "none"
                expected = "stored images" if self.settings.keep_images else "no stored image"
                raise impossible(path, expected, f"image {stored['image']} has {has}")
            if stored["picture"] is not None:
                yield stored["image"], wanted[stored["image"]], stored["picture"]["bytes"]

    def _image_rows(
        self, record: ShardRecord, where: Callable[[dict[str, Any]], bool] | None
    ) -> dict[int, dict[str, Any]]:
        """Return the rows of a shard's selected images that were drawn, by the number of the image."""
        path = self._verified_file(record, "images")
        rows = read_table(path, "images", IMAGES_SCHEMA, _ROWS).to_pylist()
        planned = self.plan.images(record.shard)
        found = [(row["image"], row["seed"]) for row in rows]
        if found != [(image.number, image.seed) for image in planned]:
            raise FileError(
                f"Expected the images {planned[0].number} to {planned[-1].number} in {path}, but it has others."
            )
        return {
            row["image"]: row
            for row in rows
            if row["status"] == "drawn" and (where is None or where(row))
        }

    def _parse_of(self, row: dict[str, Any]) -> Sentence:
        """Return the parse of an image's prompt, read once for all its seeds."""
        if self._last is None or self._last[0] != row["sentence"]:
            self._last = (row["sentence"], parse_of(row))
        return self._last[1]

    def _files(self, table: str) -> Iterator[Path]:
        return (self._verified_file(record, table) for record in self._records_with(table))

    def _stored(self, table: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        for record in self._records_with(table):
            rows = self._verified.verify(record, table)  # what was just checked is not read twice
            if rows is None or not set(columns or ()) <= set(rows.column_names):
                path = self._folder.shards.file(table, record.shard)
                yield read_table(path, table, columns=columns)
            else:
                yield rows if columns is None else rows.select(list(columns))

    def _records_with(self, table: str) -> tuple[ShardRecord, ...]:
        """Return the finished shards, each of which has a file of a table."""
        tables = tables_of(self.settings.relations)
        if table not in tables:
            known = ", ".join(tables)
            raise ValueError(f"Expected one of the tables {known} of a run, but got {table!r}.")
        return self.records

    def _verified_file(self, record: ShardRecord, table: str) -> Path:
        """Return the path of a table's file after comparing it, see `VerifiedTables`."""
        self._verified.verify(record, table)
        return self._folder.shards.file(table, record.shard)
