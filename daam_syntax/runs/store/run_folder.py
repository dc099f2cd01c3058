"""The folder of a corpus run: what is finished, how it is made sure of, and who may write.

::

    run/
      manifest.json                   settings, frozen plan, sessions
      prompts.parquet                 the prompts, and what was known of them
      sentences.parquet               the prompts and their parses
      pairs/part-00000.parquet        one file per table and shard: pairs, words, maps, images, problems
      committed/part-00000.json       says that a shard is finished, with the checksums of its files
      .work/                          what is being written
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
from daam_syntax.runs.store.changes import column_changes, prompt_changes, setting_changes
from daam_syntax.runs.store.checksums import (
    prompts_digest,
    sealed,
    sentences_digest,
    sha256,
    unsealed,
)
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.schemas import FORMAT, SENTENCES_SCHEMA, TABLES, from_rows, read_table
from daam_syntax.runs.store.shards import Plan
from daam_syntax.util.whole_files import file_errors, whole_file

MANIFEST: Final = "manifest.json"
_PROMPTS: Final = "prompts.parquet"
_SENTENCES: Final = "sentences.parquet"
_COMMITTED: Final = "committed"
_WORK: Final = ".work"
_MANIFEST_KEYS: Final = {
    *("format", "kind", "status", "settings", "plan"),
    *("prompts", "sentences", "sessions"),
}
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RunFolder:
    """Reads and writes the folder of a run; only the holder of the lock may change it.

    Parameters
    ----------
    path
        The folder; made when something is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # -- who may write -------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from writing; the system lets go when this process ends, however it ends.

        Raises
        ------
        FileError
            If another process writes there, or the folder cannot be made.
        """
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise FileError(
                    f"Expected to be alone in {self.path}, but another process is drawing there now; "
                    "wait for it, end it, or choose another folder."
                ) from None
        try:
            yield
        finally:
            lock.release()

    # -- beginning and taking up ---------------------------------------------------------------------------------

    def is_run(self) -> bool:
        """Whether there is a manifest."""
        with file_errors(self.path):
            return (self.path / MANIFEST).exists()

    def start(
        self,
        settings: Mapping[str, Any],
        plan: Plan,
        prompts: PromptSet,
        sentences: Sequence[Sentence],
    ) -> None:
        """Begin a run, or take up one that began with the same settings; clear away what was half-written.

        Raises
        ------
        FileError
            If the folder holds a run with other settings (the differences are shown), or files of another
            origin, or cannot be written.
        """
        now = json.loads(json.dumps(dict(settings)))
        if not self.is_run():
            self._refuse_strangers()
        elif self.has_shards():
            self._refuse_changes(now, plan, prompts, sentences)
        else:  # a run that finished nothing is not worth keeping
            self.manifest()
        if not self.has_shards():
            for table in TABLES:  # of shards that another plan began to move there
                shutil.rmtree(self.path / table, ignore_errors=True)
            self.write_manifest(
                {
                    "format": FORMAT,
                    "kind": "daam-syntax corpus",
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
        """Whether any shard was finished."""
        with file_errors(self.path):
            return any((self.path / _COMMITTED).glob("part-*.json"))

    def _refuse_strangers(self) -> None:
        with file_errors(self.path):
            names = (*TABLES, _COMMITTED, _SENTENCES)
            there = [self.path / name for name in names if (self.path / name).exists()]
        if there:
            raise FileError(
                f"Expected a new folder or that of a corpus run, but {self.path} has files of another origin "
                f"({there[0].name}) and no {MANIFEST}; choose another folder."
            )

    def _refuse_changes(
        self,
        now: Mapping[str, Any],
        plan: Plan,
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
            differences += self._changed_columns(prompts)
        if differences:
            raise FileError(
                f"Expected the same run in {self.path}, but it began with others: {'; '.join(differences)}. "
                "Give the same command again, or choose another folder."
            )

    def _changed_prompts(self, sentences: Sequence[Sentence]) -> list[str]:
        try:
            before = [sentence.text for sentence in self.sentences()]
        except FileError:
            return ["the prompts or their parses"]
        return prompt_changes(before, [sentence.text for sentence in sentences])

    def _changed_columns(self, prompts: PromptSet) -> list[str]:
        try:
            return column_changes(self.prompts(), prompts)
        except FileError:
            return ["what is known of the prompts"]

    def _clear(self) -> None:
        """Delete what a killed process left half-written."""
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
            If there is none, or it is not one that this version knows.
        """
        path = self.path / MANIFEST
        try:
            manifest = unsealed(path.read_text(encoding="utf-8"))
            if manifest.get("kind") != "daam-syntax corpus" or manifest.get("format") != FORMAT:
                raise ValueError(
                    f"it is {manifest.get('kind')!r}, format {manifest.get('format')!r}, not "
                    f"'daam-syntax corpus', format {FORMAT}"
                )
            if set(manifest) != _MANIFEST_KEYS:
                raise ValueError(
                    f"it has the keys {sorted(manifest)}, not {sorted(_MANIFEST_KEYS)}"
                )
            Plan(**manifest["plan"])
        except FileNotFoundError:
            raise FileError(
                f"Expected the folder of a corpus run, but there is no {path}; make one with `daam-syntax run`."
            ) from None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise FileError(
                f"Expected the manifest of a corpus run in {path}, but {error}."
            ) from error
        return dict(manifest)

    @property
    def plan(self) -> Plan:
        """The frozen plan."""
        return Plan(**self.manifest()["plan"])

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, whole or not at all."""
        with (
            whole_file(self.path / MANIFEST) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.write(sealed(manifest))
            file.flush()
            # Shards can be drawn again after a power cut; the plan is nowhere else.
            os.fsync(file.fileno())

    # -- sentences -----------------------------------------------------------------------------------------------

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
            If they are not there, or not those that the run began with.
        """
        path = self.path / _SENTENCES
        table = read_table(path, "sentences", SENTENCES_SCHEMA)
        try:
            found = [Sentence.from_dict(json.loads(text)) for text in table["sentence"].to_pylist()]
            if sentences_digest(found) != self.manifest()["sentences"]:
                raise ValueError("they are not those that the run began with")
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"Expected the parsed prompts of the run in {path}, but {error}."
            ) from error
        return found

    def prompts(self) -> PromptSet:
        """Return the prompts with what was known of them, in order.

        Raises
        ------
        FileError
            If they are not there, or not those that the run began with.
        """
        path = self.path / _PROMPTS
        try:
            found = PromptSet.from_file(path)
            if prompts_digest(found) != self.manifest()["prompts"]:
                raise ValueError("they are not those that the run began with")
        except (FileError, PromptError, ValueError) as error:
            raise FileError(
                f"Expected the prompts of the run in {path}, but {error}. Give the same `daam-syntax run` command "
                "again, which writes them again."
            ) from error
        return found

    # -- shards --------------------------------------------------------------------------------------------------

    def file(self, table: str, shard: int) -> Path:
        """Return the path of a table's file of a shard."""
        return self.path / table / f"part-{shard:05d}.parquet"

    def missing(
        self,
        problems: Callable[[Problem], None],
        advance: Callable[[int], None],
        retry_failed: bool = False,
    ) -> list[int]:
        """Return the shards that are not finished; say which were but are damaged.

        Parameters
        ----------
        problems
            Told of every damaged shard.
        advance
            Told how many more images were looked at.
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
                problems(
                    Problem("check", "damaged file", str(error), "The shard is drawn again.", shard)
                )
                missing.append(shard)
            advance(plan.size(shard))
        return missing

    def new_work(self) -> Path:
        """Make a folder to write the files of a shard into."""
        work = self.path / _WORK / uuid.uuid4().hex
        with file_errors(work):
            work.mkdir(parents=True)
        return work

    def clear_work(self) -> None:
        """Delete what workers that died were writing."""
        for left in (self.path / _WORK).glob("*"):
            shutil.rmtree(left, ignore_errors=True)

    def commit(self, record: ShardRecord, work: Path) -> None:
        """Take the files of a shard from their work folder to their places; the record last, as it stands for all."""
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
        """Return the record of a finished shard, or None.

        Raises
        ------
        FileError
            If its record is damaged.
        """
        path = self._record_path(shard)
        try:
            values = unsealed(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT or values["shard"] != shard:
                raise ValueError("it is not of this shard")
            return ShardRecord.from_dict(values)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"Expected the record of a shard in {path}, but it is damaged: {error}"
            ) from error

    def check(self, record: ShardRecord, table: str) -> Path:
        """Return the path of a table's file of a finished shard, if it is what was written.

        Raises
        ------
        FileError
            If it is gone, cut off or altered.
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
            f"Expected the file of a finished shard at {path}, but {problem}; give the same `daam-syntax run` "
            "command again, which draws this shard again."
        )


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no more room, or that a file would be too large."""
    causes = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in _FULL for e in causes)
