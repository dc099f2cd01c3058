"""Kill the workers and the scheduler of a run, and let a scheduler outlive runs. Only `run` draws on a cluster."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from benchmarks.survival.commands import NAME, Command, on_other_prompts
from benchmarks.survival.signals import uninterrupted
from benchmarks.survival.trials import Count, difference, problem_after

_QUIET: Final = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass
class Cluster:
    """A scheduler and its workers, in processes of their own."""

    scheduler: subprocess.Popen[bytes]
    workers: subprocess.Popen[bytes]
    address: str

    def on(self, command: Command) -> Command:
        """Return a command that draws here."""
        return replace(command, arguments=(*command.arguments, "--cluster", self.address))

    def kill_worker(self) -> None:
        """Kill the process that draws; Dask starts another one."""
        drawing = [
            process
            for process in psutil.Process(self.workers.pid).children(recursive=True)
            if "spawn_main" in " ".join(process.cmdline())
        ]
        if drawing:
            drawing[0].kill()


@contextmanager
def cluster(place: Path, workers: int = 1) -> Iterator[Cluster]:
    """Start a scheduler and workers, and end them."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "scheduler.json"
    file.unlink(missing_ok=True)
    options = {**_QUIET, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "cwd": place}
    dask = [sys.executable, "-m", "dask"]
    near = ["--scheduler-file", str(file)]
    quiet = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    scheduler = subprocess.Popen([*dask, "scheduler", *near, *quiet], **options)
    several = [
        "--nworkers",
        str(workers),
        "--nthreads",
        "1",
        "--no-dashboard",
        "--memory-limit",
        "0",
    ]
    started = subprocess.Popen([*dask, "worker", *near, *several], **options)
    try:
        while not file.exists():
            assert scheduler.poll() is None, "the scheduler ended"
            time.sleep(0.1)
        yield Cluster(scheduler, started, json.loads(file.read_text())["address"])
    finally:
        for process in (started, scheduler):
            process.send_signal(signal.SIGINT)
        for process in (started, scheduler):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cluster_trials(
    command: Command, place: Path, trials: int, seed: int = 0
) -> Iterator[tuple[str, Count]]:
    """Yield the counts of each kind."""
    rng = random.Random(seed)
    expected, _ = uninterrupted(command, place / "whole" / NAME)
    other = on_other_prompts(command, place)
    folder = place / "spread" / NAME
    with cluster(place / "cluster") as spread:
        _, seconds = uninterrupted(spread.on(command), folder)
        count = Count()
        for _ in range(trials):
            first = spread.on(other).finish(folder)
            shutil.rmtree(folder)
            again = spread.on(command).finish(folder)
            problem = again.message if again.code else difference(command, folder, expected)
            count.add(first, problem)
            shutil.rmtree(folder)
        yield "scheduler that outlives a run", count
        count = Count()
        for _ in range(trials):
            child = spread.on(command).start(folder)
            time.sleep(rng.uniform(0, seconds))
            spread.kill_worker()
            count.add(child.ended(), problem_after(spread.on(command), folder, expected))
            shutil.rmtree(folder)
        yield "worker killed", count
    count = Count()
    for _ in range(trials):
        with cluster(place / "cluster") as spread:
            # A new worker loads its libraries first; the moment is one of a run on a worker that has.
            uninterrupted(spread.on(command), folder)
            shutil.rmtree(folder)
            child = spread.on(command).start(folder)
            time.sleep(rng.uniform(0, seconds))
            spread.scheduler.kill()
            count.add(child.ended(), problem_after(command, folder, expected))
            shutil.rmtree(folder)
    yield "scheduler killed", count
