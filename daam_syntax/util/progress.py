"""How far a run is, how fast, and how long it will take: a bar in a terminal, lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

_LOG_EVERY: Final = 60.0  # seconds


class Advancing(Protocol):
    """What shows progress."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def advance(self, n: int) -> None:
        """Say that `n` more images are done."""


class _Rate(ProgressColumn):
    """Images per second of this session."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.3g} images/s" if task.speed else "- images/s")


class Bar:
    """A progress bar on stderr.

    Parameters
    ----------
    total, done
        Images in all, and those that were finished before: they do not count for the rate.
    label
        What is being done.
    """

    def __init__(self, total: int, done: int, label: str) -> None:
        columns = (label, BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=Console(stderr=True), transient=True, speed_estimate_period=600
        )
        self._task = self._bar.add_task(label, total=total, completed=done)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, n: int) -> None:
        """Say that `n` more images are done."""
        self._bar.advance(self._task, n)


class Lines:
    """A line now and then, for the log file of a job.

    Parameters
    ----------
    total, done, label
        See `Bar`.
    write
        Where lines go.
    clock
        Gives the time in seconds.
    """

    def __init__(
        self,
        total: int,
        done: int,
        label: str,
        write: Callable[[str], object] = lambda line: print(line, file=sys.stderr, flush=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._done, self._label = total, done, label
        self._write, self._clock = write, clock
        self._before = done
        self._started = self._told = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._done > self._before:
            self._tell()

    def advance(self, n: int) -> None:
        """Say that `n` more images are done."""
        self._done += n
        if self._clock() - self._told >= _LOG_EVERY:
            self._tell()

    def _tell(self) -> None:
        self._told = self._clock()
        rate = (self._done - self._before) / max(self._told - self._started, 1e-9)
        left = (self._total - self._done) / rate
        self._write(
            f"{self._label}: {self._done:,} of {self._total:,} images, {rate:.3g} images/s, {duration(left)} left"
        )


class Silence:
    """No progress shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def advance(self, n: int) -> None:
        """Say nothing."""


def show_progress(show: bool, total: int, done: int = 0, label: str = "Drawing") -> Advancing:
    """Return what suits where stderr goes: a bar in a terminal, else lines; nothing unless `show`."""
    if not show:
        return Silence()
    return Bar(total, done, label) if sys.stderr.isatty() else Lines(total, done, label)


def duration(seconds: float) -> str:
    """Write a time span: ``"2 d 03:04:05"``."""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
