"""The shards of a run: commit them, verify them, and restore or set aside what does not fit."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.checksums import sealed, sha256, unsealed
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.shard_files import embedded_record
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.origin import (
    DAMAGE,
    PlannedRow,
    check_images,
    check_size,
    check_stamp,
    stamp_of,
)
from daam_syntax.runs.store.tables.schemas import ALL_TABLES, FORMAT, Stamp
from daam_syntax.util.regular_files import check_no_link, check_regular, make_folder
from daam_syntax.util.whole_files import file_errors, replace_file, whole_file
from daam_syntax.util.wording import one_line

COMMITTED: Final = "committed"
WORK: Final = ".work"
_PART: Final = re.compile(r"part-(\d{5,9})\.(parquet|json)", re.ASCII)
_LARGEST_RECORD: Final = 2**16  # bytes; a record has about one kilobyte
_DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_AGAIN: Final = "run the same command again to draw this shard again."


@dataclass(frozen=True)
class Planned:
    """The images that a shard must contain: the origin of its files, and a row for each image.

    Attributes
    ----------
    stamp
        Run, shard, and checksum of the settings.
    rows
        ``(image, prompt_id, prompt, seed)`` of each image, in order.
    tables
        The tables, each a file.
    """

    stamp: Stamp
    rows: Sequence[PlannedRow]
    tables: Sequence[str]


class ShardStore:
    """The files of the shards of a run.

    Parameters
    ----------
    path
        The folder of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- paths ---------------------------------------------------------------------------------------------------

    def file(self, table: str, shard: int) -> Path:
        """Return the path of the file of a table and a shard."""
        return self.path / table / f"part-{shard:05d}.parquet"

    def record_path(self, shard: int) -> Path:
        """Return the path of the record of a shard."""
        return self.path / COMMITTED / f"part-{shard:05d}.json"

    def numbers(self, folder: str = COMMITTED) -> list[int]:
        """Return the numbers of the shards that have a file in a folder, in order."""
        with file_errors(self.path / folder):
            names = (path.name for path in (self.path / folder).glob("part-*"))
            found = (_PART.fullmatch(name) for name in names)
            return sorted({int(match[1]) for match in found if match})

    def make_folders(self, tables: Sequence[str]) -> None:
        """Create the folders of the tables."""
        for name in (*tables, COMMITTED, WORK):
            make_folder(self.path, name)

    def check_folders(self) -> None:
        """Refuse links in place of folders, before anything in them is read or deleted."""
        for name in (*ALL_TABLES, COMMITTED, WORK):
            check_no_link(self.path / name)

    # -- reading -------------------------------------------------------------------------------------------------

    def record(self, shard: int, n_images: int) -> ShardRecord | None:
        """Return the record of a shard of so many images, or None if the shard is not finished.

        Raises
        ------
        FileError
            If its record is damaged.
        """
        path = self.record_path(shard)
        try:
            check_regular(path, _LARGEST_RECORD)
            values = unsealed(path.read_text(encoding="utf-8"))
            if values.pop("format", None) != FORMAT or values.get("shard") != shard:
                raise ValueError("it belongs to another shard")
            record = ShardRecord.from_dict(values)
            _check_count(record, n_images)
            return record
        except FileNotFoundError:
            return None
        except (*DAMAGE, RecursionError) as error:
            raise FileError(
                f"Expected the record of a shard in {path}, but it is damaged ({one_line(error)}); {_AGAIN}"
            ) from error

    def verify(self, record: ShardRecord, table: str, stamp: Stamp) -> Path:
        """Check that the file of a table and a finished shard is as it was written, and return its path.

        Raises
        ------
        FileError
            If the file is missing, truncated, altered, or of another run.
        """
        path = self._check_bytes(record, table)
        metadata = check_stamp(path, stamp)
        check_size(path, metadata, record.files[table].n_rows, record.n_images)
        return path

    def _check_bytes(self, record: ShardRecord, table: str) -> Path:
        """Compare the file of a table and a finished shard with its checksum, and return its path."""
        path = self.file(table, record.shard)
        written = record.files.get(table)
        if written is None:
            raise FileError(f"Expected {path} among the files of its shard's record; {_AGAIN}")
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                problem = "it is not a regular file"
            elif status.st_size != written.n_bytes:
                problem = f"it has {status.st_size} bytes, not {written.n_bytes}"
            elif sha256(path) != written.sha256:
                problem = "its checksum differs"
            else:
                return path
        except OSError as error:
            problem = error.strerror or str(error)
        raise FileError(f"Expected the file of a finished shard at {path}, but {problem}; {_AGAIN}")

    def stamps(self) -> Iterator[Stamp | None]:
        """Yield the origin of each shard all of whose files were once moved here; None if it cannot be read."""
        for shard in self.numbers("problems"):
            yield self.stamp("problems", shard)

    def stamp(self, table: str, shard: int) -> Stamp | None:
        """Return the origin of the file of a table and a shard; None if it cannot be read."""
        try:
            return stamp_of(self.file(table, shard))
        except DAMAGE:
            return None

    # -- writing -------------------------------------------------------------------------------------------------

    def new_work(self) -> Path:
        """Create a folder in which to write the files of a shard."""
        work = self.path / WORK / uuid.uuid4().hex
        with file_errors(work):
            work.mkdir(parents=True)
        return work

    def clear_work(self) -> None:
        """Delete the unfinished files of workers that died."""
        for left in (self.path / WORK).glob("*"):
            shutil.rmtree(left, ignore_errors=True)

    def commit(self, record: ShardRecord, work: Path, planned: Planned) -> None:
        """Move the files of a shard from their work folder to their final places, then write its record.

        The record comes last because it marks the shard as finished.

        Raises
        ------
        ForeignShardError
            If the files are those of another run, or of other images than planned.
        """
        check_images(work / "images.parquet", record.shard, planned.rows)
        for table in planned.tables:
            check_stamp(work / f"{table}.parquet", planned.stamp)
        with file_errors(self.path):
            self.record_path(record.shard).unlink(missing_ok=True)
            for table in planned.tables:
                replace_file(work / f"{table}.parquet", self.file(table, record.shard))
            work.rmdir()
        self._write_record(record)

    def _write_record(self, record: ShardRecord) -> None:
        with whole_file(self.record_path(record.shard)) as partial:
            text = sealed({"format": FORMAT, **record.as_dict()})
            partial.write_text(text, encoding="utf-8")

    def missing(
        self,
        plan: ShardPlan,
        planned: Callable[[int], Planned],
        note: Callable[[Problem], None],
        advance: Callable[[int], None],
        retry_failed: bool = False,
    ) -> list[int]:
        """Return the shards that are not finished or are damaged; restore the records of finished ones that lost them.

        Parameters
        ----------
        plan
            The plan of the run.
        planned
            Function that maps the number of a shard to the images that it must contain.
        note
            Called with a problem for every damaged shard.
        advance
            Called with the number of images of every shard that was checked.
        retry_failed
            Whether shards with failed images count as missing.
        """
        missing = []
        for shard in range(plan.n_shards):
            record = self._usable(shard, planned, note)
            if record is None or (retry_failed and record.n_failed):
                missing.append(shard)
            advance(plan.size(shard))
        return missing

    def _usable(
        self, shard: int, planned: Callable[[int], Planned], note: Callable[[Problem], None]
    ) -> ShardRecord | None:
        """Return the record of a shard whose files are all as they were written, else None."""
        expected, damage = planned(shard), ""
        try:
            record = self.record(shard, len(expected.rows))
            if record is not None:
                for table in expected.tables:
                    self.verify(record, table, expected.stamp)
                return record
        except FileError as error:
            damage = str(error)
        restored = self._restore_record(expected)
        if restored is not None:
            lost = damage or f"{self.record_path(shard)} was missing."
            kept = "The files of the shard are as they were written, and were kept."
            note(Problem("check", "record restored", lost, kept, shard))
            return restored
        if damage:
            note(Problem("check", "damaged file", damage, "The shard is drawn again.", shard))
        self._set_aside_foreign(expected.stamp, note)
        return None

    def _restore_record(self, planned: Planned) -> ShardRecord | None:
        """Write a shard's lost record again and return it, if the files are as they were written, else None."""
        shard = planned.stamp.shard
        record = self.embedded_record(planned.stamp, len(planned.rows), planned.tables)
        if record is None:
            return None
        try:
            check_images(self.file("images", shard), shard, planned.rows)
        except FileError:
            return None
        self._write_record(record)
        return record

    def embedded_record(
        self, stamp: Stamp, n_images: int, tables: Sequence[str]
    ) -> ShardRecord | None:
        """Return the copy of the record in a shard's own files, if all of them are as they were written, else None."""
        try:
            record = embedded_record(self.file("problems", stamp.shard))
            if record.shard != stamp.shard:
                return None
            _check_count(record, n_images)
            for table in tables:
                self.verify(record, table, stamp)
        except (*DAMAGE, FileError):
            return None
        return record

    def _set_aside_foreign(self, stamp: Stamp, note: Callable[[Problem], None]) -> None:
        """Move files of other runs into another folder, so that this run's shard can be written."""
        marked = {table: self.stamp(table, stamp.shard) for table in ALL_TABLES}
        foreign = [
            self.file(table, stamp.shard)
            for table, found in marked.items()
            if found not in (None, stamp)
        ]
        if foreign:
            place = self.set_aside(foreign)
            names = ", ".join(str(path.relative_to(self.path)) for path in foreign)
            message = f"Files of another run were found: {names}."
            kept = f"They were moved to {place}."
            note(Problem("check", "set aside", message, kept, stamp.shard))

    def set_aside(self, paths: Sequence[Path]) -> Path:
        """Move files into a new folder ``set-aside-<date>``, under the same names, and return it."""
        day = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        place = self.path / f"set-aside-{day}-{uuid.uuid4().hex[:6]}"
        for path in paths:
            target = place / path.relative_to(self.path)
            with file_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, target)
        return place

    def parts(self) -> list[Path]:
        """Return the files of all shards, and their records."""
        found: list[Path] = []
        for name in (*ALL_TABLES, COMMITTED):
            with file_errors(self.path / name):
                files = sorted((self.path / name).glob("part-*"))
            found += [path for path in files if _PART.fullmatch(path.name)]
        return found


def _check_count(record: ShardRecord, n_images: int) -> None:
    n_rows = record.files["images"].n_rows
    if record.n_images != n_images or n_rows != n_images:
        found = f"{record.n_images:,} images with {n_rows:,} rows"
        raise ValueError(f"it is of {found}, not of {n_images:,} images")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full, or that a file would be too large."""
    causes = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in _DISK_FULL for e in causes)
