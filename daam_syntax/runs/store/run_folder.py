"""The folder of a run: its manifest and prompts, its shards, and the lock of the process that writes.

::

    run/
      manifest.json                   settings, frozen plan, sessions; manifest.backup.json is its second copy
      prompts.parquet                 the prompts with their metadata
      pairs/part-00000.parquet        one file per table and shard: pairs, words, maps, images, problems
      committed/part-00000.json       record of a finished shard, with the checksums of its files
      .work/                          files that are being written
      .lock                           held by the process that writes
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from daam_syntax.errors import FileError
from daam_syntax.language import PromptSet
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.changes import metadata_changes, prompt_changes, setting_changes
from daam_syntax.runs.store.checksums import prompts_digest
from daam_syntax.runs.store.locking import locked
from daam_syntax.runs.store.manifest import (
    MANIFEST,
    DamagedManifestError,
    read_backup,
    read_manifest,
    write_manifest,
)
from daam_syntax.runs.store.shard_store import COMMITTED, WORK, Planned, ShardStore
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.schemas import ALL_TABLES, Stamp, tables_of
from daam_syntax.runs.store.tables.stored_prompts import PROMPTS, read_prompts, write_prompts
from daam_syntax.util.whole_files import file_errors

_VIEWS: Final = ("pairs.csv", "words.csv", "summary.csv", "index.html")


@dataclass(frozen=True)
class Wanted:
    """A run as it is requested; two runs with the same settings, plan, prompts, and parses have the same results.

    Attributes
    ----------
    settings
        See `RunSettings.as_dict`.
    plan
        The division into shards.
    prompts
        The prompts with their metadata.
    parses
        Checksum of parses, see `Parses.digest`.
    """

    settings: Mapping[str, Any]
    plan: ShardPlan
    prompts: PromptSet
    parses: str

    def entries(self) -> dict[str, Any]:
        """Return the entries of the manifest."""
        return {
            "settings": json.loads(json.dumps(dict(self.settings))),
            "plan": self.plan.as_dict(),
            "prompts": prompts_digest(self.prompts),
            "parses": self.parses,
        }


def entries_digest(manifest: Mapping[str, Any]) -> str:
    """Return a checksum of what a manifest says about the results of a run."""
    names = ("settings", "plan", "prompts", "parses")
    text = json.dumps({name: manifest[name] for name in names}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fits(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a manifest is of a run with these entries, see `Wanted.entries`."""
    return all(manifest[name] == value for name, value in now.items())


class RunFolder:
    """The folder of a run, for reading and writing. Only the holder of the lock may change it.

    Parameters
    ----------
    path
        The folder; it is created when something is written.

    Raises
    ------
    FileError
        If its name has bytes that are not UTF-8, which the library that writes tables does not take.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise FileError(
                f"Expected the name of a folder in UTF-8, but got {str(path)!r}; rename or choose another one."
            ) from None
        self.shards = ShardStore(self.path)

    # -- lock ---------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing. The system releases the lock when this process ends, even if it crashes.

        A folder that was created for the lock is deleted again if nothing was written.

        Raises
        ------
        FileError
            If another process is writing in the folder, or it cannot be created.
        """
        with locked(self.path):
            yield

    # -- starting and resuming ----------------------------------------------------------------------------------

    def has_shards(self) -> bool:
        """Whether any shard is finished, or was before its record was lost."""
        return bool(self.shards.numbers() or self.shards.numbers("problems"))

    def start(self, wanted: Wanted, *, overwrite: bool = False) -> list[Problem]:
        """Start a run, or resume the same run; delete files that were only partly written.

        Parameters
        ----------
        wanted
            The requested run.
        overwrite
            Whether to delete another run. Only its own files are deleted.

        Returns
        -------
        list of Problem
            One for each thing that was restored or set aside.

        Raises
        ------
        FileError
            If the folder holds another run (the message lists the differences) or files of another origin, or cannot
            be written.
        """
        self.shards.check_folders()
        now = wanted.entries()
        problems: list[Problem] = []
        manifest = self._found(now, problems)
        if manifest is not None and not _fits(manifest, now):
            if self.has_shards() and not overwrite:
                raise self._refusal(manifest, wanted, now)
            self._remove(manifest, delete=overwrite, problems=problems)
            manifest = None
        if manifest is None:
            manifest = {"run": uuid.uuid4().hex, "status": "running", **now, "sessions": []}
        self.write_manifest(manifest)
        self._clear()
        self.shards.make_folders(_tables(manifest))
        write_prompts(self.path, wanted.prompts)
        return problems

    def _found(self, now: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any] | None:
        """Return the manifest, restored if it was lost; None if the folder has no run."""
        try:
            manifest, damage = read_manifest(self.path)
        except DamagedManifestError as error:
            return self._rebuilt(now, str(error), problems)
        if damage:
            kept = "It was restored from its second copy."
            problems.append(Problem("check", "manifest restored", damage, kept))
        elif not _fits(manifest, now) and (own := self._own_backup(now)) is not None:
            message = f"{self.path / MANIFEST} was that of another run."
            kept = "It was restored from its second copy, which fits the shards."
            problems.append(Problem("check", "manifest restored", message, kept))
            return own
        return manifest

    def _own_backup(self, now: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the second copy of the manifest if it is of the requested run and of the shards that exist."""
        backup, stamps = read_backup(self.path), list(self.shards.stamps())
        if backup is None or not stamps or not _fits(backup, now):
            return None
        is_own = all(stamp is not None and stamp.run == backup["run"] for stamp in stamps)
        return backup if is_own else None

    def _rebuilt(
        self, now: Mapping[str, Any], damage: str, problems: list[Problem]
    ) -> dict[str, Any] | None:
        """Return a manifest for the shards of the requested run; None if the folder has no shards and no other files.

        Raises
        ------
        FileError
            If there are shards or files of something else.
        """
        stamps = set(self.shards.stamps())
        ours = {s.run for s in stamps if s is not None and s.digest == entries_digest(now)}
        if len(ours) == 1 and all(s is not None and s.run in ours for s in stamps):
            kept = "It was restored from the same command; shards that are as they were written were kept."
            problems.append(Problem("check", "manifest restored", damage, kept))
            return {"run": ours.pop(), "status": "running", **now, "sessions": []}
        self._refuse_other_files()
        return None

    def _refuse_other_files(self) -> None:
        names = (*ALL_TABLES, COMMITTED, PROMPTS, *_VIEWS)
        with file_errors(self.path):
            paths = [self.path / name for name in names]
            files = [file for path in paths if path.is_dir() for file in path.iterdir()]
            files += [path for path in paths if path.is_file()]
        if files:
            raise FileError(
                f"Expected a new folder or that of a run, but {self.path} has files that daam-syntax did not write, "
                f"for instance {files[0]}, and no {MANIFEST} that fits them; choose another folder."
            )

    def _refusal(
        self, manifest: Mapping[str, Any], wanted: Wanted, now: Mapping[str, Any]
    ) -> FileError:
        differences = setting_changes(
            {**manifest["settings"], **manifest["plan"]}, {**now["settings"], **now["plan"]}
        )
        if manifest["prompts"] != now["prompts"]:
            differences += self._changed_prompts(wanted.prompts)
        elif manifest["parses"] != now["parses"]:
            differences.append("the parses of the same prompts")
        return FileError(
            f"Expected the settings and prompts of the run in {self.path}, but they differ: "
            f"{'; '.join(differences)}. Use those that it started with, or choose another folder, or overwrite it "
            "(overwrite=True, --overwrite)."
        )

    def _changed_prompts(self, now: PromptSet) -> list[str]:
        try:
            before = self.prompts()
        except FileError:
            return ["the prompts or their metadata"]
        if list(before) != list(now):
            return prompt_changes(list(before), list(now))
        return metadata_changes(before, now)

    def _remove(
        self, manifest: Mapping[str, Any], *, delete: bool, problems: list[Problem]
    ) -> None:
        """Delete the files of a run, or move those that it left without finishing a shard into another folder."""
        parts = self.shards.parts()
        if delete:
            views = self._view_names(ShardPlan.from_dict(manifest["plan"]))
            own = [self.path / name for name in (*views, PROMPTS)]
            own += (self.path / "problems").glob("*.parquet")
            with file_errors(self.path):
                for path in {*parts, *own}:
                    path.unlink(missing_ok=True)
            parts = []
        analyses = self.path / "analyses"
        parts += [analyses] if analyses.exists() else []
        if parts:
            place = self.shards.set_aside(parts)
            message = f"The folder had {len(parts)} files of a run that did not finish a shard."
            problems.append(Problem("check", "set aside", message, f"They were moved to {place}."))

    def _view_names(self, plan: ShardPlan) -> list[str]:
        """Return the names of those views (see `daam_syntax.runs.views`) that exist."""
        try:
            rows = self.prompts().rows  # ids are safe as names of files
        except FileError:
            return []
        names = [*_VIEWS, *(f"explore-{row.id}.html" for row in rows)]
        images = (plan.image(number) for number in range(plan.n_images))
        for stem in (f"{rows[image.prompt].id}-{image.seed}.png" for image in images):
            names += [f"images/{stem}", f"overview-{stem}"]
        with file_errors(self.path):
            present = {path.name for path in self.path.iterdir()}
            present |= {f"images/{path.name}" for path in (self.path / "images").glob("*.png")}
        return [name for name in names if name in present]

    def _clear(self) -> None:
        """Delete the partly written files of a killed process."""
        with file_errors(self.path):
            if not (self.path / WORK).is_symlink():
                shutil.rmtree(self.path / WORK, ignore_errors=True)
            for folder in (self.path, *(self.path / n for n in (COMMITTED, "problems", "images"))):
                for left in folder.glob(".*.partial"):
                    left.unlink(missing_ok=True)

    # -- manifest and prompts ------------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; see `read_manifest`."""
        return read_manifest(self.path)[0]

    @property
    def plan(self) -> ShardPlan:
        """The division into batches and shards, fixed when the run started."""
        return ShardPlan.from_dict(self.manifest()["plan"])

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest completely or not at all."""
        write_manifest(self.path, manifest)

    def prompts(self) -> PromptSet:
        """Return the prompts with their metadata, in order.

        Raises
        ------
        FileError
            If they are missing, or differ from those with which the run started.
        """
        return read_prompts(self.path, self.manifest()["prompts"])

    # -- shards --------------------------------------------------------------------------------------------------

    def planned(self, prompts: PromptSet) -> Callable[[int], Planned]:
        """Return a function that maps the number of a shard to the images that it must contain."""
        manifest = self.manifest()
        plan, digest = ShardPlan.from_dict(manifest["plan"]), entries_digest(manifest)
        rows, tables = prompts.rows, _tables(manifest)

        def of(shard: int) -> Planned:
            images = plan.images(shard)
            return Planned(
                Stamp(manifest["run"], shard, digest),
                [(i.number, rows[i.prompt].id, rows[i.prompt].text, i.seed) for i in images],
                tables,
            )

        return of


def _tables(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    return tables_of(manifest["settings"].get("relations", ()))
