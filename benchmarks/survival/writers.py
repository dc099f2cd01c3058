"""Give a command twice at once, in the same folder."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.survival.commands import NAME, Command, Outcome
from benchmarks.survival.signals import uninterrupted
from benchmarks.survival.trials import Count, difference


def writer_trials(
    command: Command, place: Path, trials: int, seed: int = 0
) -> Iterator[tuple[str, Count]]:
    """Yield the counts of second commands that start at a random moment; every fourth pair starts at once."""
    expected, seconds = uninterrupted(command, place / "whole" / NAME)
    rng = random.Random(seed)
    count = Count()
    folder = place / "shared" / NAME
    for number in range(trials):
        first = command.start(folder)
        time.sleep(0 if number % 4 == 0 else rng.uniform(0, seconds))
        ended = [command.finish(folder), first.ended()]
        problem = difference(command, folder, expected)
        n_refused = sum(_is_refused(outcome) for outcome in ended)
        if not problem and n_refused + sum(outcome.code == 0 for outcome in ended) < 2:
            problem = "neither refused nor finished"
        refused = next(filter(_is_refused, ended), ended[0])
        count.add(refused, problem)
        shutil.rmtree(folder)
    yield "second writer", count


def _is_refused(outcome: Outcome) -> bool:
    return outcome.code == 1 and "another process is writing there" in outcome.message
