"""Give commands too small a disk, too few files, or too few open files."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.survival.commands import NAME, Child, Command
from benchmarks.survival.signals import uninterrupted
from benchmarks.survival.trials import Count, problem_after


def limit_trials(
    command: Command, place: Path, trials: int, seed: int = 0
) -> Iterator[tuple[str, Count]]:
    """Yield each kind of limit with its counts. The limit is lifted before the command is given again."""
    whole = place / "whole" / NAME
    expected, seconds = uninterrupted(command, whole)
    rng = random.Random(seed)
    sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
    n_files = len(list(whole.rglob("*")))
    if can_mount(place):
        kinds = {
            "full disk": lambda: f"size={rng.randrange(4096, 2 * sum(sizes))},nr_inodes=100k",
            "no file left on the disk": lambda: (
                f"size=1g,nr_inodes={rng.randrange(3, n_files + 5)}"
            ),
        }
        for name, options in kinds.items():
            count = Count()
            for _ in range(trials):
                with mounted(place / "disk", options()):
                    first = command.finish(place / "disk" / NAME)
                    _mount(place / "disk", "remount,size=1g,nr_inodes=100k")
                    count.add(first, problem_after(command, place / "disk" / NAME, expected))
            yield name, count
    folder = place / "limited" / NAME
    count = Count()
    for _ in range(trials):
        first = command.finish(folder, partial(limit_size, rng.randrange(1, 2 * max(sizes))))
        count.add(first, problem_after(command, folder, expected))
        shutil.rmtree(folder, ignore_errors=True)
    yield "limited size of a file", count
    count = Count()
    for _ in range(trials):
        child = command.start(folder)
        time.sleep(rng.uniform(0, seconds))
        limit_handles(child, more=rng.randrange(3))
        count.add(child.ended(), problem_after(command, folder, expected))
        shutil.rmtree(folder, ignore_errors=True)
    yield "too many open files", count


def limit_size(n_bytes: int) -> None:
    """Limit the size of files that this process writes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, most))


def limit_handles(child: Child, more: int) -> None:
    """Limit the number of files that a command has open to so many more than now, if it is still running."""
    assert child.process.pid is not None
    with suppress(FileNotFoundError, ProcessLookupError):
        opened = len(list((Path("/proc") / str(child.process.pid) / "fd").iterdir()))
        _, most = resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE, (opened + more, most))


def can_mount(place: Path) -> bool:
    """Whether this process may mount a file system in memory."""
    try:
        with mounted(place / "probe", "size=64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def mounted(path: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory at a path, which is created."""
    path.mkdir(parents=True, exist_ok=True)
    _mount(path, options)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True, capture_output=True)


def _mount(path: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    subprocess.run(command, check=True, capture_output=True)
