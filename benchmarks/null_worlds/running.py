"""Simulate studies in parallel, in chunks that can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.null_worlds.recipes import every_recipe
from benchmarks.null_worlds.scoring import Counts, add, oracle, score
from benchmarks.null_worlds.worlds import N_TWINS, WORLDS, World, draw
from daam_syntax.util.progress import show_progress

RESULTS: Final = Path(__file__).parents[1] / "results" / "null_worlds.json"
CHUNK: Final = 5


@dataclass(frozen=True)
class Task:
    """A chunk of studies of one world: studies ``CHUNK * number`` and the following.

    Attributes
    ----------
    world
        Name of the world.
    number
        Number of the chunk.
    cost
        Recipes to try: "default", "cheap", or "slow".
    """

    world: str
    number: int
    cost: str

    @property
    def key(self) -> str:
        """Name of the chunk within its world."""
        return f"{self.cost} {self.number}"


def wanted(world: World, cost: str) -> list[Any]:
    """Return the recipes of a cost class that a world is for."""
    return [r for r in every_recipe().values() if r.cost == cost and r.suits(world)]


def simulate(task: Task) -> tuple[Task, dict[str, Counts]]:
    """Return the counts of a chunk, by recipe and measure."""
    world = WORLDS[task.world]
    total: dict[str, Counts] = {}
    for number in range(CHUNK * task.number, CHUNK * (task.number + 1)):
        study = draw(world, number, N_TWINS if task.cost == "default" else 0)
        for recipe in wanted(world, task.cost):
            found = score(world, recipe.make(study), scaled=recipe.scaled)
            for measure, counts in found.items():
                key = f"{recipe.name} | {measure}"
                total[key] = add(total.get(key, {}), counts)
        if task.cost == "default":
            claims = list(oracle(study))
            for name in dict.fromkeys(name for name, _ in claims):
                rows = [claim for other, claim in claims if other == name]
                for measure, counts in score(world, rows).items():
                    key = f"{name} | {measure}"
                    total[key] = add(total.get(key, {}), counts)
    return task, total


def tasks(worlds: Sequence[str], studies: dict[str, int]) -> Iterator[Task]:
    """Yield the tasks in an order in which all worlds grow together."""
    for number in range(-(-max(studies.values()) // CHUNK)):
        for name in worlds:
            for cost, n in studies.items():
                # In true worlds, power needs fewer studies than the level does in null worlds.
                enough = number * CHUNK >= (n // 3 if WORLDS[name].effect else n)
                if not enough and wanted(WORLDS[name], cost):
                    yield Task(name, number, cost)


def read(path: Path = RESULTS) -> dict[str, Any]:
    """Return the results so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def run(
    worlds: Iterable[str],
    studies: dict[str, int],
    *,
    processes: int = 1,
    path: Path = RESULTS,
    progress: bool = True,
) -> dict[str, Any]:
    """Simulate what is missing, and write the results after every chunk.

    Parameters
    ----------
    worlds
        Names of the worlds.
    studies
        Number of studies per world, by cost of the recipes.
    processes
        Number of processes.
    path
        File of the results.
    progress
        Whether to show progress.
    """
    results = read(path)
    every = list(tasks(list(worlds), studies))
    missing = [t for t in every if t.key not in results.get(t.world, {}).get("chunks", [])]
    done = len(every) - len(missing)
    with show_progress(progress, len(every), done, "Simulating", unit="chunks") as bar:
        for task, counts in _each(missing, processes):
            world = results.setdefault(task.world, {"chunks": [], "cells": {}})
            world["chunks"].append(task.key)
            for key, more in counts.items():
                world["cells"][key] = add(world["cells"].get(key, {}), more)
            write(results, path)
            bar.describe(f"Simulating {task.world}")
            bar.advance()
    return results


def _each(missing: list[Task], processes: int) -> Iterator[tuple[Task, dict[str, Counts]]]:
    if processes == 1:
        yield from map(simulate, missing)
        return
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(simulate, task) for task in missing]):
            yield future.result()


def write(results: dict[str, Any], path: Path = RESULTS) -> None:
    """Write the results, one line per cell."""
    for world in results.values():
        world["chunks"].sort()
    text = json.dumps(results, indent=1, sort_keys=True)
    new = path.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    os.replace(new, path)
