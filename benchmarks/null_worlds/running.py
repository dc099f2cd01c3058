"""Simulate studies in parallel, in chunks that can be resumed, cut off at any time, and merged."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.null_worlds.catalog import every_recipe
from benchmarks.null_worlds.claims import Recipe
from benchmarks.null_worlds.defaults import default_claims
from benchmarks.null_worlds.prompts import read_parses, write_parses
from benchmarks.null_worlds.scoring import (
    Counts,
    add,
    oracle,
    read_truths,
    score,
    write_truths,
)
from benchmarks.null_worlds.studies import N_TWINS, World, draw
from benchmarks.null_worlds.worlds import WORLDS
from daam_syntax.util.progress import show_progress

RESULTS: Final = Path(__file__).parents[1] / "results" / "null_worlds.json"

CHUNK: Final = {"default": 5, "cheap": 1, "slow": 1}
"""Studies of a chunk, by cost of the recipes: a chunk takes a few seconds."""

CRASH: Final = "crash"
"""Stands for the measure where a recipe raised an exception."""

_LONGEST_PROBLEM: Final = 300
_SECONDS_BETWEEN_FILES: Final = 10.0

Results = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A chunk of studies of one world.

    Attributes
    ----------
    world
        Name of the world.
    first
        Number of its first study.
    cost
        Recipes to try: "default", "cheap", or "slow".
    recipes
        Names of the only recipes to try; empty for all, and the oracle.
    """

    world: str
    first: int
    cost: str
    recipes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the chunk within its world."""
        return " ".join([self.cost, str(self.first), *("of " + name for name in self.recipes)])


def prepare(folder: Path) -> None:
    """Write what takes a parser or minutes: parsed prompts, and the truth of every world."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parses(folder / "parses.json")
    write_truths(folder / "truths.json")


def use_prepared(folder: Path | None) -> None:
    """Take parsed prompts and truths from a folder of `prepare` from now on; None: make them."""
    if folder is not None:
        read_parses(folder / "parses.json")
        read_truths(folder / "truths.json")


def wanted(world: World, cost: str, names: Sequence[str] = ()) -> list[Recipe]:
    """Return the recipes of a cost class that a world is for; only those with the given names, if there are any."""
    found = [r for r in every_recipe().values() if r.cost == cost and r.suits(world)]
    return [r for r in found if not names or r.name in names]


def simulate(task: Task) -> tuple[Task, dict[str, Counts]]:
    """Return the counts of a chunk, by recipe and measure."""
    world = WORLDS[task.world]
    total: dict[str, Counts] = {}

    def count(recipe: str, found: Mapping[str, Counts]) -> None:
        for measure, counts in found.items():
            key = f"{recipe} | {measure}"
            total[key] = add(total.get(key, {}), counts)

    for number in range(task.first, task.first + CHUNK[task.cost]):
        everything = task.cost == "default" and not task.recipes
        study = draw(world, number, N_TWINS if everything else 0)
        shared = default_claims(study) if everything else {}
        for recipe in wanted(world, task.cost, task.recipes):
            try:
                claims = shared.get(recipe.name) or list(recipe.make(study))
            except Exception as error:  # one study must not end hours of simulation
                problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
                count(recipe.name, {CRASH: {"studies": 1, "problems": {problem: 1}}})
                continue
            scaled = recipe.has_known_truth(world)
            count(recipe.name, score(world, claims, scaled=scaled, exchanged=recipe.exchanged))
        if everything:
            found = list(oracle(study))
            for name in dict.fromkeys(name for name, _ in found):
                count(name, score(world, [claim for other, claim in found if other == name]))
    return task, total


def tasks(
    worlds: Sequence[str],
    studies: Mapping[str, int],
    first: int = 0,
    recipes: Sequence[str] = (),
) -> list[Task]:
    """Return the tasks in an order in which all worlds and costs grow in proportion, wherever it is cut.

    Parameters
    ----------
    worlds
        Names of the worlds.
    studies
        Number of studies per world, by cost of the recipes.
    first
        Number of the first study.
    recipes
        Names of the only recipes to try.
    """
    found = []
    for cost, n in studies.items():
        for name in worlds:
            if wanted(WORLDS[name], cost, recipes):
                # In true worlds, power needs fewer studies than the level does in null worlds.
                enough = max(1, n // 3) if n and WORLDS[name].effect else n
                starts = range(0, enough, CHUNK[cost])
                found += [
                    ((k + CHUNK[cost]) / enough, Task(name, first + k, cost, tuple(recipes)))
                    for k in starts
                ]
    return [task for _, task in sorted(found, key=lambda item: item[0])]


def run(
    worlds: Iterable[str],
    studies: Mapping[str, int],
    *,
    first: int = 0,
    recipes: Sequence[str] = (),
    processes: int = 1,
    seconds: float = float("inf"),
    prepared: Path | None = None,
    path: Path = RESULTS,
    progress: bool = True,
) -> Results:
    """Simulate what is missing, and write the results every few seconds.

    Parameters
    ----------
    worlds, studies, first, recipes
        See `tasks`.
    processes
        Number of processes.
    seconds
        Time after which no chunk is begun.
    prepared
        Folder of `prepare`; None if there is none.
    path
        File of the results. It is whole at any time.
    progress
        Whether to show progress.
    """
    results = read(path)
    every = tasks(list(worlds), studies, first, recipes)
    missing = [t for t in every if t.key not in results.get(t.world, {}).get("chunks", [])]
    done, until = len(every) - len(missing), time.monotonic() + seconds
    written = time.monotonic()
    with show_progress(progress, len(every), done, "Simulating", unit="chunks") as bar:
        for task, counts in _each(missing, processes, until, prepared):
            _include(results, task, counts)
            if time.monotonic() - written > _SECONDS_BETWEEN_FILES:
                write(results, path)
                written = time.monotonic()
            bar.advance()
    write(results, path)
    return results


def _include(results: Results, task: Task, counts: Mapping[str, Counts]) -> None:
    world = results.setdefault(task.world, {"chunks": [], "cells": {}})
    world["chunks"].append(task.key)
    for key, more in counts.items():
        world["cells"][key] = add(world["cells"].get(key, {}), more)


def _each(
    missing: list[Task], processes: int, until: float, prepared: Path | None
) -> Iterator[tuple[Task, dict[str, Counts]]]:
    """Yield the counts of the tasks that begin before a time."""
    if processes == 1:
        use_prepared(prepared)
        for task in missing:
            if time.monotonic() >= until:
                return
            yield simulate(task)
        return
    with ProcessPoolExecutor(processes, initializer=use_prepared, initargs=(prepared,)) as pool:
        yield from _in_parallel(pool.submit, iter(missing), 2 * processes, until)


def _in_parallel(
    submit: Callable[..., Future[Any]], missing: Iterator[Task], n_waiting: int, until: float
) -> Iterator[tuple[Task, dict[str, Counts]]]:
    running = {submit(simulate, task) for task, _ in zip(missing, range(n_waiting), strict=False)}
    while running:
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            task = next(missing, None) if time.monotonic() < until else None
            if task is not None:
                running.add(submit(simulate, task))
            yield future.result()


def merge(paths: Iterable[Path], path: Path = RESULTS) -> Results:
    """Add the results of other files, such as those of another machine, to a file.

    Raises
    ------
    ValueError
        If two files have the same studies.
    """
    results = read(path)
    for other in paths:
        for name, more in read(other).items():
            world = results.setdefault(name, {"chunks": [], "cells": {}})
            twice = set(world["chunks"]) & set(more["chunks"])
            if twice:
                raise ValueError(
                    f"Expected other studies in {other}, but it has chunk {min(twice)!r} of the world {name!r}, too: "
                    "simulate with another --first-study."
                )
            world["chunks"] += more["chunks"]
            for key, counts in more["cells"].items():
                world["cells"][key] = add(world["cells"].get(key, {}), counts)
    write(results, path)
    return results


def forget(recipes: Sequence[str], path: Path = RESULTS) -> None:
    """Drop the results of recipes whose code changed; those of others stay.

    Raises
    ------
    ValueError
        If there is no such recipe.
    """
    unknown = sorted(set(recipes) - set(every_recipe()))
    if unknown:
        raise ValueError(f"Expected names of recipes, but got {', '.join(map(repr, unknown))}.")
    results = read(path)
    for world in results.values():
        cells = world["cells"].items()
        world["cells"] = {k: v for k, v in cells if k.rpartition(" | ")[0] not in recipes}
    write(results, path)


def read(path: Path = RESULTS) -> Results:
    """Return the results so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(results: Results, path: Path = RESULTS) -> None:
    """Write the results, one line per value."""
    for world in results.values():
        world["chunks"].sort()
    text = json.dumps(results, indent=1, sort_keys=True)
    new = path.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    os.replace(new, path)
