"""Read a run: its tables, heat maps, and images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from daam_syntax.errors import FileError
from daam_syntax.language import PromptSet, Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.problems import PROBLEM_COLUMNS, Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.schemas import (
    IMAGES_SCHEMA,
    MAPS_SCHEMA,
    PROBLEMS_SCHEMA,
    check_identity,
    from_problems,
    read_table,
    to_frame,
)
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.stored_maps import from_table
from daam_syntax.runs.store.table_files import ShardedTables

if TYPE_CHECKING:
    from PIL.Image import Image

_WITHOUT_PIXELS = [name for name in IMAGES_SCHEMA.names if name != "picture"]


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
        self._manifest = self._folder.manifest()
        self.settings = RunSettings.from_dict(self._manifest["settings"])
        self.plan = ShardPlan(**self._manifest["plan"])
        self._verified: set[tuple[str, int]] = set()

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
        """The records of the finished shards, in order."""
        found = (self._folder.record(shard) for shard in range(self.plan.n_shards))
        return tuple(record for record in found if record is not None)

    @property
    def is_complete(self) -> bool:
        """Whether all shards are finished."""
        return len(self.records) == self.plan.n_shards

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The parsed prompts, in order."""
        return tuple(self._folder.sentences())

    @cached_property
    def prompts(self) -> PromptSet:
        """The prompts with their metadata (categories, pairs, slots); the column ``prompt`` joins them to tables."""
        return self._folder.prompts()

    def images(self) -> pd.DataFrame:
        """Return the table of images without their pixels; failed images have rows with a reason."""
        return self.table("images", _WITHOUT_PIXELS)

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
        wanted = self._image_rows(self._verified_file(record, "images"), where)
        with pq.ParquetFile(self._verified_file(record, "maps")) as file:
            check_identity(file.schema_arrow, "maps", MAPS_SCHEMA)
            for group in range(file.num_row_groups):
                numbers = file.read_row_group(group, columns=["image"])["image"].to_pylist()
                if not wanted.keys() & set(numbers):
                    continue
                table = file.read_row_group(group)
                for number in dict.fromkeys(numbers):
                    if number in wanted:
                        start, n = numbers.index(number), numbers.count(number)
                        sentence = self.sentences[self.plan.image(number).prompt]
                        yield number, from_table(table.slice(start, n), wanted[number], sentence)

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
        from PIL import Image as PillowImage

        for record in self.records:
            path = self._verified_file(record, "images")
            wanted = self._image_rows(path, where)
            if not wanted:
                continue
            table = read_table(path, "images", IMAGES_SCHEMA, ["image", "picture"])
            for row in table.to_pylist():
                if row["picture"] is None or row["image"] not in wanted:
                    continue
                try:
                    image = PillowImage.open(io.BytesIO(row["picture"]["bytes"]), formats=["PNG"])
                    yield row["image"], image.convert("RGB")
                except (OSError, SyntaxError) as error:
                    raise FileError(
                        f"Expected the pixels of image {row['image']}, but {error}."
                    ) from error

    def _image_rows(
        self, path: Path, where: Callable[[dict[str, Any]], bool] | None
    ) -> dict[int, dict[str, Any]]:
        """Return the rows of a shard's selected images that were drawn, by the number of the image."""
        rows = read_table(path, "images", IMAGES_SCHEMA, _WITHOUT_PIXELS).to_pylist()
        return {
            row["image"]: row
            for row in rows
            if row["status"] == "drawn" and (where is None or where(row))
        }

    def _files(self, table: str) -> Iterator[Path]:
        return (self._verified_file(record, table) for record in self.records)

    def _verified_file(self, record: ShardRecord, table: str) -> Path:
        """Return the path of a table's file after comparing it with its checksum, once."""
        key = (table, record.shard)
        if key not in self._verified:
            self._folder.check(record, table)
            self._verified.add(key)
        return self._folder.file(table, record.shard)
