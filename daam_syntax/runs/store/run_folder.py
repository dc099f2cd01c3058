"""The folder of a run: its files, their verification, and the lock of the process that writes.

::

    run/
      manifest.json                   settings, frozen plan, sessions
      prompts.parquet                 the prompts with their metadata
      sentences.parquet               the prompts with their parses
      pairs/part-00000.parquet        one file per table and shard: pairs, words, maps, images, problems
      committed/part-00000.json       record of a finished shard, with the checksums of its files
      .work/                          files that are being written
      .lock                           held by the process that writes
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from daam_syntax.errors import FileError, PromptError
from daam_syntax.language import PromptSet, Sentence, prompt_id
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.changes import metadata_changes, prompt_changes, setting_changes
from daam_syntax.runs.store.checksums import (
    prompts_digest,
    sealed,
    sentences_digest,
    sha256,
    unsealed,
)
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.schemas import FORMAT, SENTENCES_SCHEMA, TABLES, from_rows, read_table
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.util.whole_files import file_errors, whole_file

MANIFEST: Final = "manifest.json"
_KIND: Final = "daam-syntax corpus"  # as it is in existing runs
_PROMPTS: Final = "prompts.parquet"
_SENTENCES: Final = "sentences.parquet"
_COMMITTED: Final = "committed"
_WORK: Final = ".work"
_MANIFEST_KEYS: Final = {
    *("format", "kind", "status", "settings", "plan"),
    *("prompts", "sentences", "sessions"),
}
_DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RunFolder:
    """The folder of a run, for reading and writing. Only the holder of the lock may change it.

    Parameters
    ----------
    path
        The folder; it is created when something is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # -- lock ---------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing. The system releases the lock when this process ends, even if it crashes.

        Raises
        ------
        FileError
            If another process is writing in the folder, or it cannot be created.
        """
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise FileError(
                    f"Expected exclusive access to {self.path}, but another process is drawing there; "
                    "wait for it, end it, or choose another folder."
                ) from None
        try:
            yield
        finally:
            lock.release()

    # -- starting and resuming ----------------------------------------------------------------------------------

    def is_run(self) -> bool:
        """Whether the folder has a manifest."""
        with file_errors(self.path):
            return (self.path / MANIFEST).exists()

    def start(
        self,
        settings: Mapping[str, Any],
        plan: ShardPlan,
        prompts: PromptSet,
        sentences: Sequence[Sentence],
    ) -> None:
        """Start a run, or resume a run with the same settings; delete files that were only partly written.

        Raises
        ------
        FileError
            If the folder holds a run with other settings (the message lists the differences) or files of another
            origin, or cannot be written.
        """
        now = json.loads(json.dumps(dict(settings)))
        if not self.is_run():
            self._refuse_other_files()
        elif self.has_shards():
            self._refuse_changes(now, plan, prompts, sentences)
        else:
            # A run without finished shards is replaced, but not a damaged or unknown manifest.
            self.manifest()
        if not self.has_shards():
            for table in TABLES:  # a killed run with another plan can have left files there
                shutil.rmtree(self.path / table, ignore_errors=True)
            self.write_manifest(
                {
                    "format": FORMAT,
                    "kind": _KIND,
                    "status": "running",
                    "settings": now,
                    "plan": asdict(plan),
                    "prompts": prompts_digest(prompts),
                    "sentences": sentences_digest(sentences),
                    "sessions": [],
                }
            )
        self._clear()
        for name in (*TABLES, _COMMITTED, _WORK):
            with file_errors(self.path / name):
                (self.path / name).mkdir(exist_ok=True)
        try:
            self.sentences()
        except FileError:
            self._write_sentences(sentences)
        try:
            self.prompts()
        except FileError:
            prompts.to_file(self.path / _PROMPTS)

    def has_shards(self) -> bool:
        """Whether any shard is finished."""
        with file_errors(self.path):
            return any((self.path / _COMMITTED).glob("part-*.json"))

    def _refuse_other_files(self) -> None:
        with file_errors(self.path):
            names = (*TABLES, _COMMITTED, _SENTENCES)
            found = [self.path / name for name in names if (self.path / name).exists()]
        if found:
            raise FileError(
                f"Expected a new folder or that of a run, but {self.path} has files that daam-syntax did not write "
                f"({found[0].name}) and no {MANIFEST}; choose another folder."
            )

    def _refuse_changes(
        self,
        now: Mapping[str, Any],
        plan: ShardPlan,
        prompts: PromptSet,
        sentences: Sequence[Sentence],
    ) -> None:
        manifest = self.manifest()
        differences = setting_changes(
            {**manifest["settings"], **manifest["plan"]}, {**now, **asdict(plan)}
        )
        if manifest["sentences"] != sentences_digest(sentences):
            differences += self._changed_prompts(sentences)
        elif manifest["prompts"] != prompts_digest(prompts):
            differences += self._changed_metadata(prompts)
        if differences:
            raise FileError(
                f"Expected the settings and prompts of the run in {self.path}, but they differ: "
                f"{'; '.join(differences)}. Use those that it started with, or choose another folder."
            )

    def _changed_prompts(self, sentences: Sequence[Sentence]) -> list[str]:
        try:
            before = [sentence.text for sentence in self.sentences()]
        except FileError:
            return ["the prompts or their parses"]
        return prompt_changes(before, [sentence.text for sentence in sentences])

    def _changed_metadata(self, prompts: PromptSet) -> list[str]:
        try:
            return metadata_changes(self.prompts(), prompts)
        except FileError:
            return ["the metadata of the prompts"]

    def _clear(self) -> None:
        """Delete the partly written files of a killed process."""
        with file_errors(self.path):
            shutil.rmtree(self.path / _WORK, ignore_errors=True)
            for folder in (self.path, self.path / _COMMITTED, self.path / "problems"):
                for left in folder.glob(".*.partial"):
                    left.unlink(missing_ok=True)

    # -- manifest ------------------------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        FileError
            If it is missing, damaged, or of an unknown version.
        """
        path = self.path / MANIFEST
        try:
            manifest = unsealed(path.read_text(encoding="utf-8"))
            if manifest.get("kind") != _KIND or manifest.get("format") != FORMAT:
                raise ValueError(
                    f"it is {manifest.get('kind')!r}, format {manifest.get('format')!r}, not "
                    f"{_KIND!r}, format {FORMAT}"
                )
            if set(manifest) != _MANIFEST_KEYS:
                raise ValueError(
                    f"it has the keys {sorted(manifest)}, not {sorted(_MANIFEST_KEYS)}"
                )
            ShardPlan(**manifest["plan"])
        except FileNotFoundError:
            raise FileError(
                f"Expected the folder of a run, but there is no {path}; make one with `daam-syntax run`."
            ) from None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise FileError(f"Expected the manifest of a run in {path}, but {error}.") from error
        return dict(manifest)

    @property
    def plan(self) -> ShardPlan:
        """The division into batches and shards, fixed when the run started."""
        return ShardPlan(**self.manifest()["plan"])

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest completely or not at all."""
        with (
            whole_file(self.path / MANIFEST) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.write(sealed(manifest))
            file.flush()
            # Shards can be drawn again after a power failure, but the plan exists only here.
            os.fsync(file.fileno())

    # -- prompts and parses --------------------------------------------------------------------------------------

    def _write_sentences(self, sentences: Sequence[Sentence]) -> None:
        rows = [
            {"prompt_id": prompt_id(s.text), "prompt": s.text, "sentence": json.dumps(s.to_dict())}
            for s in sentences
        ]
        table = from_rows(rows, SENTENCES_SCHEMA, "sentences")
        with whole_file(self.path / _SENTENCES) as partial:
            pq.write_table(table, partial, compression="zstd")

    def sentences(self) -> list[Sentence]:
        """Return the parsed prompts, in order.

        Raises
        ------
        FileError
            If they are missing, or differ from those with which the run started.
        """
        path = self.path / _SENTENCES
        table = read_table(path, "sentences", SENTENCES_SCHEMA)
        try:
            found = [Sentence.from_dict(json.loads(text)) for text in table["sentence"].to_pylist()]
            if sentences_digest(found) != self.manifest()["sentences"]:
                raise ValueError("they differ from those with which the run started")
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"Expected the parsed prompts of the run in {path}, but {error}. Run the same `daam-syntax run` "
                "command again to restore them."
            ) from error
        return found

    def prompts(self) -> PromptSet:
        """Return the prompts with their metadata, in order.

        Raises
        ------
        FileError
            If they are missing, or differ from those with which the run started.
        """
        path = self.path / _PROMPTS
        try:
            found = PromptSet.from_file(path)
            if prompts_digest(found) != self.manifest()["prompts"]:
                raise ValueError("they differ from those with which the run started")
        except (FileError, PromptError, ValueError) as error:
            raise FileError(
                f"Expected the prompts of the run in {path}, but {error}. Run the same `daam-syntax run` command "
                "again to restore them."
            ) from error
        return found

    # -- shards --------------------------------------------------------------------------------------------------

    def file(self, table: str, shard: int) -> Path:
        """Return the path of the file of a table and a shard."""
        return self.path / table / f"part-{shard:05d}.parquet"

    def missing(
        self,
        note: Callable[[Problem], None],
        advance: Callable[[int], None],
        retry_failed: bool = False,
    ) -> list[int]:
        """Return the shards that are not finished or are damaged.

        Parameters
        ----------
        note
            Called with a problem for every damaged shard.
        advance
            Called with the number of images of every shard that was checked.
        retry_failed
            Whether shards with failed images count as missing.
        """
        plan = self.plan
        missing = []
        for shard in range(plan.n_shards):
            try:
                record = self.record(shard)
                if record is None or (retry_failed and record.n_failed):
                    missing.append(shard)
                else:
                    for table in TABLES:
                        self.check(record, table)
            except FileError as error:
                note(
                    Problem("check", "damaged file", str(error), "The shard is drawn again.", shard)
                )
                missing.append(shard)
            advance(plan.size(shard))
        return missing

    def new_work(self) -> Path:
        """Create a folder in which to write the files of a shard."""
        work = self.path / _WORK / uuid.uuid4().hex
        with file_errors(work):
            work.mkdir(parents=True)
        return work

    def clear_work(self) -> None:
        """Delete the unfinished files of workers that died."""
        for left in (self.path / _WORK).glob("*"):
            shutil.rmtree(left, ignore_errors=True)

    def commit(self, record: ShardRecord, work: Path) -> None:
        """Move the files of a shard from their work folder to their final places, then write its record.

        The record comes last because it marks the shard as finished.
        """
        with file_errors(self.path):
            self._record_path(record.shard).unlink(missing_ok=True)
            for table in TABLES:
                os.replace(work / f"{table}.parquet", self.file(table, record.shard))
            work.rmdir()
        with whole_file(self._record_path(record.shard)) as partial:
            partial.write_text(sealed({"format": FORMAT, **asdict(record)}), encoding="utf-8")

    def _record_path(self, shard: int) -> Path:
        return self.path / _COMMITTED / f"part-{shard:05d}.json"

    def record(self, shard: int) -> ShardRecord | None:
        """Return the record of a shard, or None if the shard is not finished.

        Raises
        ------
        FileError
            If its record is damaged.
        """
        path = self._record_path(shard)
        try:
            values = unsealed(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT or values["shard"] != shard:
                raise ValueError("it belongs to another shard")
            return ShardRecord.from_dict(values)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"Expected the record of a shard in {path}, but it is damaged ({error}); run the same `daam-syntax "
                "run` command again to draw this shard again."
            ) from error

    def check(self, record: ShardRecord, table: str) -> Path:
        """Compare the file of a table and a finished shard with its checksum, and return its path.

        Raises
        ------
        FileError
            If the file is missing, truncated or altered.
        """
        path = self.file(table, record.shard)
        written = record.files[table]
        try:
            size = path.stat().st_size
            if size != written.n_bytes:
                problem = f"it has {size} bytes, not {written.n_bytes}"
            elif sha256(path) != written.sha256:
                problem = "its checksum differs"
            else:
                return path
        except OSError as error:
            problem = error.strerror or str(error)
        raise FileError(
            f"Expected the file of a finished shard at {path}, but {problem}; run the same `daam-syntax run` "
            "command again to draw this shard again."
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full, or that a file would be too large."""
    causes = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in _DISK_FULL for e in causes)
