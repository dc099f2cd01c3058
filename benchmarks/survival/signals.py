"""End commands by signals at random moments."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.survival.commands import NAME, Command
from benchmarks.survival.trials import Count, problem_after

SIGNALS: Final = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}


def signal_trials(
    command: Command, place: Path, trials: int, seed: int = 0
) -> Iterator[tuple[str, Count]]:
    """Yield each kind of signal with its counts. The moments are uniform over the time that the command takes."""
    expected, seconds = uninterrupted(command, place / "whole" / NAME)
    rng = random.Random(seed)
    for name, number in SIGNALS.items():
        count = Count()
        while count.trials < trials:
            folder = place / "interrupted" / NAME
            child = command.start(folder)
            time.sleep(rng.uniform(0, seconds))
            was_running = child.is_running()
            if was_running:
                child.send(number)
            first = child.ended()
            if was_running:
                count.add(first, problem_after(command, folder, expected))
            shutil.rmtree(folder, ignore_errors=True)
        yield name, count


def uninterrupted(command: Command, folder: Path) -> tuple[dict[str, str], float]:
    """Return what a command leaves, and the seconds that it takes."""
    started = time.perf_counter()
    done = command.finish(folder)
    assert done.code == 0, done.message
    return command.contents(folder), time.perf_counter() - started
