"""One session of a run: from the moment it is started until it is complete, or ends otherwise."""

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
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder, is_full
from daam_syntax.runs.store.schemas import from_problems
from daam_syntax.util.progress import show_progress
from daam_syntax.util.version import __version__
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from daam_syntax.attention.text_limits import TextLimit

_FULL_DISK: Final = 2
"""So many shards in a row that found no room end the session: what is drawn would be lost."""

_LIBRARIES: Final = ("torch", "diffusers", "transformers", "pyarrow")


@dataclass(frozen=True)
class Drawn:
    """What became of a shard: its files in a work folder and their record, or the error of writing them."""

    shard: int
    work: Path
    result: ShardRecord | OSError


Draw = Callable[[Sequence[int], Callable[[int], None]], Iterator[Drawn]]
"""Draws shards; the second argument is told how many more images are done."""


class Session:
    """Brings missing shards into the folder, and notes what happened.

    Parameters
    ----------
    folder
        The folder of the run, locked and started.
    of_prompts
        Problems of the prompts.
    limits
        How much of a prompt the text encoders read.
    """

    def __init__(
        self,
        folder: RunFolder,
        of_prompts: Sequence[Problem],
        limits: Sequence[TextLimit] = (),
    ) -> None:
        self._folder = folder
        manifest = folder.manifest()
        self._plan = folder.plan
        self.number = len(manifest["sessions"])
        self._problems: list[Problem] = []
        self._notes: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"daam_syntax": __version__, **{n: version(n) for n in _LIBRARIES}},
            "text_limits": [asdict(limit) for limit in limits],
            "images": 0,
            "seconds": 0.0,
        }
        folder.write_manifest(
            {**manifest, "status": "running", "sessions": [*manifest["sessions"], self._notes]}
        )
        # The same file each time: the prompts are the same.
        _write_problems(folder.path / "problems" / "prompts.parquet", of_prompts)

    def draw(self, draw: Draw, progress: bool, *, retry_failed: bool = False) -> None:
        """Find the missing shards, have them drawn, and keep each as soon as it is there.

        Parameters
        ----------
        draw
            Draws shards.
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
            missing = self._folder.missing(self.note, bar.advance, retry_failed)
        left = sum(self._plan.size(shard) for shard in missing)
        if not missing:
            return self._finish(0.0)
        started = time.perf_counter()
        try:
            with show_progress(progress, n_images, n_images - left, "Drawing") as bar:
                self._keep(draw(missing, bar.advance))
        except BaseException:
            with suppress(FileError):  # the error that is under way matters more
                self._finish(time.perf_counter() - started)
            raise
        return self._finish(time.perf_counter() - started)

    def _keep(self, drawn: Iterator[Drawn]) -> None:
        """Commit shards as they come."""
        in_vain = 0
        for shard in drawn:
            in_vain = 0 if self._commit(shard) else in_vain + 1
            if in_vain >= _FULL_DISK:
                last = self._problems[-1]
                raise FileError(
                    f"Expected to write to {self._folder.path}, but {in_vain} shards in a row could not be written: "
                    f"{last.problem}, {last.message.rstrip('.')}. Make room, and give the same command again: it goes "
                    "on from here."
                )

    def _commit(self, shard: Drawn) -> bool:
        """Bring a shard into the folder; say whether it worked."""
        try:
            if isinstance(shard.result, OSError):
                raise shard.result
            self._folder.commit(shard.result, shard.work)
        except OSError as error:
            shutil.rmtree(shard.work, ignore_errors=True)
            self.note(
                Problem(
                    "write",
                    "disk full" if is_full(error) else "not written",
                    str(error),
                    "The shard was not kept; the same command draws it again.",
                    shard.shard,
                )
            )
            return False
        self._notes["images"] += shard.result.n_images
        return True

    def note(self, problem: Problem) -> None:
        """Add a problem to the session's table, at once: nobody knows how long this process lives."""
        self._problems.append(problem)
        with suppress(FileError):  # no room now: tried again with the next one, and at the end
            self._write_own_problems()

    def _write_own_problems(self) -> None:
        name = f"session-{self.number:05d}.parquet"
        _write_problems(self._folder.path / "problems" / name, self._problems)

    def _finish(self, seconds: float) -> None:
        """Write the session's notes into the manifest."""
        self._folder.clear_work()
        self._notes |= {"seconds": round(seconds, 3), **peak_memory()}
        manifest = self._folder.manifest()
        finished = (self._folder.record(shard) for shard in range(self._plan.n_shards))
        complete = all(record is not None for record in finished)
        manifest["status"] = "complete" if complete else "incomplete"
        manifest["sessions"][self.number] = self._notes
        if self._problems:
            self._write_own_problems()
        self._folder.write_manifest(manifest)


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    with whole_file(path) as partial:
        pq.write_table(from_problems(problems), partial)


def peak_memory() -> dict[str, int]:
    """Return the most memory that this process has had, bytes; of a GPU too where there is one."""
    peak = {}
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux that counts what the process was before it became this one, too.
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
