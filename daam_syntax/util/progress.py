"""Progress of a long task: a bar in a terminal, lines in a log file. The progress display of the package."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from daam_syntax.util.wording import duration

_LOG_EVERY: Final = 60.0  # seconds


class Progress(Protocol):
    """Progress of one task, shown between entering and leaving the context."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""

    def describe(self, label: str) -> None:
        """Change the label."""


def show_progress(
    show: bool, total: int, done: int = 0, label: str = "Drawing", *, unit: str = "images"
) -> Progress:
    """Return a progress display for a task.

    In a terminal it is a bar on stderr, which disappears at the end; elsewhere it is a line on stderr once a minute
    and at the end. ::

        with show_progress(progress, len(prompts), label="Parsing", unit="prompts") as bar:
            for prompt in prompts:
                ...
                bar.advance()

    Parameters
    ----------
    show
        Whether to show anything.
    total
        Units in total.
    done
        Units that an earlier session finished; the rate excludes them.
    label
        The activity, for instance "Drawing"; `Progress.describe` changes it.
    unit
        The units counted, in the plural.
    """
    if not show or sys.stderr is None:  # in a program without a console
        return NoProgress()
    kind = ProgressBar if sys.stderr.isatty() else ProgressLog
    return kind(total, done, label, unit=unit)


def _speed(rate: float) -> str:
    """Return a rate as a plain number: "0.0167", "42,100"."""
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"


class _Rate(ProgressColumn):
    """Units per second of this session."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{_speed(task.speed)} {self._unit}/s" if task.speed else f"- {self._unit}/s")


class ProgressBar:
    """A progress bar on stderr.

    Parameters
    ----------
    total, done, label, unit
        See `show_progress`.
    """

    def __init__(self, total: int, done: int, label: str, *, unit: str = "images") -> None:
        self._bar = RichProgress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task(label, total=total, completed=done)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""
        self._bar.advance(self._task, n)

    def describe(self, label: str) -> None:
        """Change the label."""
        self._bar.update(self._task, description=label)


class ProgressLog:
    """A line once a minute and at the end, for the log file of a job.

    Parameters
    ----------
    total, done, label, unit
        See `show_progress`.
    write
        Receives each line.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self,
        total: int,
        done: int,
        label: str,
        write: Callable[[str], object] = lambda line: print(line, file=sys.stderr, flush=True),
        clock: Callable[[], float] = time.monotonic,
        *,
        unit: str = "images",
    ) -> None:
        self._total, self._done, self._label, self._unit = total, done, label, unit
        self._write, self._clock = write, clock
        self._before = done
        self._started = self._logged = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._done > self._before:
            self._log()

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""
        self._done += n
        if self._clock() - self._logged >= _LOG_EVERY:
            self._log()

    def describe(self, label: str) -> None:
        """Change the label of the lines to come."""
        self._label = label

    def _log(self) -> None:
        self._logged = self._clock()
        rate = (self._done - self._before) / max(self._logged - self._started, 1e-9)
        left = (self._total - self._done) / rate
        self._write(
            f"{self._label}: {self._done:,} of {self._total:,} {self._unit}, {_speed(rate)} {self._unit}/s, "
            f"{duration(left)} left"
        )


class NoProgress:
    """No display."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def advance(self, n: int = 1) -> None:
        """Do nothing."""

    def describe(self, label: str) -> None:
        """Do nothing."""
