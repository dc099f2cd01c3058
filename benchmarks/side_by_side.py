"""Time alternatives in turn within one run, so that a changing load affects all of them alike."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.stats import bootstrap

from benchmarks.peers import Ways, warmed_up

Ratio = dict[str, float]
"""A median ratio with its interval: "ratio", "low", "high" and the number of "rounds"."""


def seconds(
    ways: Ways, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, np.ndarray]:
    """Run all alternatives in turn, every other round in reverse, and return the times by round.

    The default clock, processor time of all threads, excludes waiting for other programs.
    """
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(rounds):
        for way in list(ways) if i % 2 == 0 else reversed(ways):
            started = clock()
            ways[way]()
            taken[way].append(clock() - started)
    return {way: np.array(each) for way, each in taken.items()}


def ratio(taken: np.ndarray, beside: np.ndarray) -> Ratio:
    """Return the median over rounds of the ratio of two times, with a 95 % bootstrap interval."""
    ratios = taken / beside
    interval = bootstrap(
        (ratios,), np.median, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return {
        "ratio": float(np.median(ratios)),
        "low": float(interval.low),
        "high": float(interval.high),
        "rounds": len(ratios),
    }


def ratios(given: Ways, rounds: int) -> dict[str, Any]:
    """Time all alternatives relative to the first."""
    ways, errors = warmed_up(given)
    taken = seconds(ways, rounds)
    first, *others = ways
    return {
        **({"could not run": errors} if errors else {}),
        f"{first}, seconds": float(np.median(taken[first])),
        "time ratios": {way: ratio(taken[way], taken[first]) for way in others},
    }


def extra_peak(module: str, arguments: Sequence[str]) -> float:
    """Run a benchmark in its own process and return the number that it prints last, the extra peak in MB.

    In that process the allocator returns large blocks as soon as they are freed, so resident memory is
    the memory in use and not what the allocator keeps for later.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout.split()[-1])


def measured_extra_peak(way: Callable[[], Any], beside: Callable[[], Any]) -> float:
    """Return how much higher the peak of resident memory is for one alternative than for another, in MB.

    Both run once beforehand, so modules and caches that they load are not counted. To be called in a
    process that `extra_peak` started.
    """
    beside()
    way()
    peaks = []
    for run in (beside, way):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # reset the peak
        run()
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peaks.append(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024)  # type: ignore[index]
    return peaks[1] - peaks[0]


def machine(threads: int) -> dict[str, Any]:
    """Describe the machine and its load before the run."""
    return {
        "threads": threads,
        "processors": psutil.cpu_count(),
        "load before (1 minute)": round(psutil.getloadavg()[0], 2),
    }


def measure_parts(
    parts: Mapping[str, Callable[[argparse.Namespace], Any]],
    given: argparse.Namespace,
    results: Path,
) -> None:
    """Measure the requested parts, save each as soon as it is done, and leave the others unchanged."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for part in given.parts:
        found[part] = parts[part](given)
        results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({part: found[part]}, indent=2), flush=True)
