"""One session of a run, from its start until the run is complete or the session ends."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from daam_syntax.errors import FileError
from daam_syntax.language import PromptSet
from daam_syntax.pipelines.identity import library_versions
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shard_store import is_disk_full
from daam_syntax.runs.store.tables.origin import ForeignShardError
from daam_syntax.runs.store.tables.schemas import from_problems
from daam_syntax.util.progress import show_progress
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from daam_syntax.attention.prompt_overflow import TextLimit

_MOST_UNWRITTEN: Final = 2
"""Number of consecutive write failures after which the session stops."""


@dataclass(frozen=True)
class DrawnShard:
    """A shard in its work folder with its record, or with the error that prevented writing it."""

    shard: int
    work: Path
    result: ShardRecord | OSError


DrawShards = Callable[[Sequence[int], Callable[[int], None]], Iterator[DrawnShard]]
"""Function that draws shards; it calls its second argument with the number of images that were finished."""


class Session:
    """Draws missing shards into the folder of a run, and records problems.

    Parameters
    ----------
    folder
        The folder of the run, locked and started.
    prompts
        The prompts.
    prompt_problems
        Problems with the prompts.
    limits
        How much of a prompt each text encoder reads.
    found
        Problems with the folder.
    on_shard
        Called with the record of each shard when it is in its place.
    """

    def __init__(
        self,
        folder: RunFolder,
        prompts: PromptSet,
        prompt_problems: Sequence[Problem] = (),
        limits: Sequence[TextLimit] = (),
        found: Sequence[Problem] = (),
        on_shard: Callable[[ShardRecord], None] = lambda record: None,
    ) -> None:
        self._folder = folder
        self.planned = folder.planned(prompts)
        self._on_shard = on_shard
        manifest = folder.manifest()
        self._plan = folder.plan
        self.number = len(manifest["sessions"])
        self._problems: list[Problem] = list(found)
        self._notes: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {**library_versions(), "pyarrow": version("pyarrow")},
            "text_limits": [asdict(limit) for limit in limits],
            "images": 0,
            "seconds": 0.0,
        }
        folder.write_manifest(
            {**manifest, "status": "running", "sessions": [*manifest["sessions"], self._notes]}
        )
        # All sessions have the same prompts, so they share this file.
        _write_problems(folder.path / "problems" / "prompts.parquet", prompt_problems)

    def draw(self, draw: DrawShards, progress: bool, *, retry_failed: bool = False) -> None:
        """Draw the missing shards, and move each into the folder as soon as it is finished.

        Parameters
        ----------
        draw
            Function that draws shards.
        progress
            Whether to show progress.
        retry_failed
            Whether to draw shards with failed images again.

        Raises
        ------
        FileError
            If the disk is full.
        """
        n_images = self._plan.n_images
        with show_progress(progress, n_images, label="Checking") as bar:
            missing = self._folder.shards.missing(
                self._plan, self.planned, self.note, bar.advance, retry_failed
            )
        left = sum(self._plan.size(shard) for shard in missing)
        if not missing:
            return self._finish(0.0)
        started = time.perf_counter()
        try:
            with show_progress(progress, n_images, n_images - left, "Drawing") as bar:
                self._keep(draw(missing, bar.advance))
        except BaseException:
            with suppress(FileError):  # the first error is more important
                self._finish(time.perf_counter() - started)
            raise
        return self._finish(time.perf_counter() - started)

    def _keep(self, drawn: Iterator[DrawnShard]) -> None:
        """Commit shards as they are finished."""
        n_unwritten = 0
        for shard in drawn:
            n_unwritten = 0 if self._commit(shard) else n_unwritten + 1
            if n_unwritten >= _MOST_UNWRITTEN:
                last = self._problems[-1]
                raise FileError(
                    f"Expected to write to {self._folder.path}, but {n_unwritten} consecutive shards could not be "
                    f"written: {last.problem}, {last.message.rstrip('.')}. Make room, and run the same command again "
                    "to resume the run."
                )

    def _commit(self, shard: DrawnShard) -> bool:
        """Move a shard into the folder, and return whether that succeeded."""
        try:
            if isinstance(shard.result, OSError):
                raise shard.result
            self._folder.shards.commit(shard.result, shard.work, self.planned(shard.shard))
        except ForeignShardError as error:
            shutil.rmtree(shard.work, ignore_errors=True)
            self.note(
                Problem(
                    "check",
                    "another run's shard",
                    str(error),
                    "The shard was not kept; run the same command again to draw it.",
                    shard.shard,
                )
            )
            return True
        except OSError as error:
            shutil.rmtree(shard.work, ignore_errors=True)
            self.note(
                Problem(
                    "write",
                    "disk full" if is_disk_full(error) else "not written",
                    str(error),
                    "The shard was not kept; run the same command again to draw it.",
                    shard.shard,
                )
            )
            return False
        self._notes["images"] += shard.result.n_images
        self._on_shard(shard.result)
        return True

    def note(self, problem: Problem) -> None:
        """Add a problem to the session's table, and write the table, because this process may be killed."""
        self._problems.append(problem)
        with suppress(FileError):  # on a full disk: retried with the next problem, and at the end
            self._write_own_problems()

    def _write_own_problems(self) -> None:
        name = f"session-{self.number:05d}.parquet"
        _write_problems(self._folder.path / "problems" / name, self._problems)

    def _finish(self, seconds: float) -> None:
        """Write the notes of the session to the manifest."""
        self._folder.shards.clear_work()
        self._notes |= {"seconds": round(seconds, 3), **peak_memory()}
        manifest = self._folder.manifest()
        is_complete = self._folder.shards.numbers() == list(range(self._plan.n_shards))
        manifest["status"] = "complete" if is_complete else "incomplete"
        manifest["sessions"][self.number] = self._notes
        if self._problems:
            self._write_own_problems()
        self._folder.write_manifest(manifest)


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    with whole_file(path) as partial:
        pq.write_table(from_problems(problems), partial)


def peak_memory() -> dict[str, int]:
    """Return the peak memory of this process, and of its GPU if it uses one, bytes."""
    peak = {}
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux it includes the memory of the program that started this one.
        kilobytes = re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="utf-8"))
        if kilobytes is not None:
            peak["peak_memory"] = int(kilobytes[1]) * 1024
    elif sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak["peak_memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak["peak_gpu_memory"] = torch.cuda.max_memory_allocated()
    return peak
