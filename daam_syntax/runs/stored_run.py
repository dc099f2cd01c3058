"""Reading a run: its tables, its maps, its pictures. No model, no torch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from daam_syntax.errors import FileError
from daam_syntax.language import PromptSet, Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.problems import PROBLEM_COLUMNS, Problem
from daam_syntax.runs.reanalysis import Reanalysis, reanalyse
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
from daam_syntax.runs.store.shards import Plan
from daam_syntax.runs.store.stored_maps import from_table
from daam_syntax.runs.store.table_files import Tables

if TYPE_CHECKING:
    from PIL.Image import Image
    from spacy.language import Language

    from daam_syntax.analysis.tables.batches import Size

_BUT_PICTURES = [name for name in IMAGES_SCHEMA.names if name != "picture"]


def open_run(path: str | Path) -> Run:
    """Open the folder of a run, finished or not, for reading.

    Raises
    ------
    FileError
        If it is none.
    """
    return Run(path)


class Run(Tables):
    """A run, as far as it is finished. Every file is compared with its checksum when it is first read.

    Parameters
    ----------
    path
        The folder that `run` wrote.

    Raises
    ------
    FileError
        If it is no such folder, or of an unknown version.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = RunFolder(path)
        self._manifest = self._folder.manifest()
        self.settings = RunSettings.from_dict(self._manifest["settings"])
        self.plan = Plan(**self._manifest["plan"])
        self._checked: set[tuple[str, int]] = set()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """What was drawn when, how fast, with which versions: one entry for each time the run was started."""
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
        """The prompts with what was known of them: categories, pairs, slots; their text joins them to the tables."""
        return self._folder.prompts()

    def images(self) -> pd.DataFrame:
        """Return the table of images without the pictures; failed images have rows with a reason."""
        return self.table("images", _BUT_PICTURES)

    def problems(self) -> pd.DataFrame:
        """Return the table of problems, see `PROBLEM_COLUMNS`: of finished shards, then of the sessions."""
        frames = [self.table("problems", None)]
        for path in sorted((self.path / "problems").glob("*.parquet")):
            if not path.name.startswith("part-"):
                try:
                    rows = read_table(path, "problems", PROBLEMS_SCHEMA)
                except FileError as error:  # no reason to withhold the others
                    lost = Problem("check", "damaged file", str(error), "What stood in it is lost.")
                    rows = from_problems([lost])
                frames.append(to_frame(rows))
        filled = [frame for frame in frames if len(frame)]
        if not filled:
            return pd.DataFrame(columns=list(PROBLEM_COLUMNS))
        return pd.concat(filled, ignore_index=True)

    def maps(self, where: Callable[[dict[str, Any]], bool] | None = None) -> Iterator[HeatMaps]:
        """Yield the stored heat maps in the order of the images, one batch in memory at a time.

        Parameters
        ----------
        where
            Which images: a function of their rows in the table of images (a dictionary). All that were drawn
            if None.

        Raises
        ------
        FileError
            If a file is damaged; its name and what to do are in the message.
        """
        for _, maps in self.numbered_maps(where):
            yield maps

    def numbered_maps(
        self, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, HeatMaps]]:
        """Yield the images' running numbers with their heat maps; see `maps`."""
        for record in self.records:
            yield from self.shard_maps(record, where)

    def shard_maps(
        self, record: ShardRecord, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, HeatMaps]]:
        """Yield the running numbers and heat maps of a finished shard; see `maps`."""
        wanted = self._image_rows(self._path(record, "images"), where)
        path = self._path(record, "maps")
        with pq.ParquetFile(path) as file:
            check_identity(file.schema_arrow, "maps", MAPS_SCHEMA)
            for group in range(file.num_row_groups):
                numbers = file.read_row_group(group, columns=["image"])["image"].to_pylist()
                if not wanted.keys() & set(numbers):
                    continue
                table = file.read_row_group(group)
                for number in dict.fromkeys(numbers):
                    if number in wanted:
                        start, n = numbers.index(number), numbers.count(number)
                        sentence = self.sentences[number // self.plan.n_seeds]
                        yield number, from_table(table.slice(start, n), wanted[number], sentence)

    def reanalyse(
        self,
        *,
        threshold: str | Sequence[str] | None = None,
        schemes: str | Sequence[str] | None = None,
        measures: str | Iterable[str] | None = None,
        size: Size = "image",
        unrelated: bool = True,
        parser: str | Language | None = None,
        progress: bool = False,
    ) -> Reanalysis:
        """Measure the stored maps again, shard by shard, without drawing.

        Parameters
        ----------
        threshold, schemes
            Rules that make masks, and whose edges; those of the run if None.
        measures, size, unrelated
            See `daam_syntax.measure_pairs`.
        parser
            A spaCy pipeline to parse the prompts again; the stored parses if None.
        progress
            Whether to show progress on stderr.

        Returns
        -------
        Reanalysis
            Tables of their own, in ``analyses/`` in the folder of the run.

        Raises
        ------
        ThresholdError, ParserError
            If there is no such rule, or a sentence has no such scheme.
        FileError
            If a file is damaged, or none can be written.
        """
        return reanalyse(
            self,
            threshold=threshold,
            schemes=schemes,
            measures=measures,
            size=size,
            unrelated=unrelated,
            parser=parser,
            progress=progress,
        )

    def pictures(
        self, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> Iterator[tuple[int, Image]]:
        """Yield the images' running numbers with their pictures, one shard in memory at a time.

        Parameters
        ----------
        where
            Which images, see `maps`; all that have a picture if None.

        Raises
        ------
        FileError
            If a picture is damaged.
        """
        from PIL import Image as PillowImage

        for record in self.records:
            path = self._path(record, "images")
            wanted = self._image_rows(path, where)
            if not wanted:
                continue
            table = read_table(path, "images", IMAGES_SCHEMA, ["image", "picture"])
            for row in table.to_pylist():
                if row["picture"] is None or row["image"] not in wanted:
                    continue
                try:
                    picture = PillowImage.open(io.BytesIO(row["picture"]["bytes"]), formats=["PNG"])
                    yield row["image"], picture.convert("RGB")
                except (OSError, SyntaxError) as error:
                    raise FileError(
                        f"Expected the picture of image {row['image']}, but {error}."
                    ) from error

    def _image_rows(
        self, path: Path, where: Callable[[dict[str, Any]], bool] | None
    ) -> dict[int, dict[str, Any]]:
        """Return the rows of a shard's images that were drawn and are wanted, by running number."""
        rows = read_table(path, "images", IMAGES_SCHEMA, _BUT_PICTURES).to_pylist()
        return {
            row["image"]: row
            for row in rows
            if row["status"] == "drawn" and (where is None or where(row))
        }

    def _files(self, table: str) -> Iterator[Path]:
        return (self._path(record, table) for record in self.records)

    def _path(self, record: ShardRecord, table: str) -> Path:
        """Return the path of a file that was compared with its checksum."""
        key = (table, record.shard)
        if key in self._checked:
            return self._folder.file(table, record.shard)
        path = self._folder.check(record, table)
        self._checked.add(key)
        return path

    def __repr__(self) -> str:
        done = sum(record.n_images for record in self.records)
        failed = sum(record.n_failed for record in self.records)
        return (
            f"Run({str(self.path)!r}: {done:,} of {self.plan.n_images:,} images, {failed:,} of them failed; "
            f"{self.plan.n_prompts:,} prompts x {self.plan.n_seeds} seeds, model {self.settings.model.get('model')})"
        )
