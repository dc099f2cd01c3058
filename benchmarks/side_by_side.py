"""Measuring ways of doing the same thing beside each other, in one run, so that a machine's moods cancel."""

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
from peers import Ways, warmed_up
from scipy.stats import bootstrap

Ratio = dict[str, float]
"""A median ratio with its interval: "ratio", "low", "high" and the number of "rounds"."""


def seconds(
    ways: Ways, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, np.ndarray]:
    """Run all ways in turn, every other round backwards, and return each one's time by round.

    Processor time, of all threads, does not count the waits of a machine that others use, too.
    """
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(rounds):
        for way in list(ways) if i % 2 == 0 else reversed(ways):
            started = clock()
            ways[way]()
            taken[way].append(clock() - started)
    return {way: np.array(each) for way, each in taken.items()}


def ratio(taken: np.ndarray, beside: np.ndarray) -> Ratio:
    """Return the median over rounds of a way's time to another's, with a bootstrap interval (95 %)."""
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
    """Measure ways beside the first of them."""
    ways, said = warmed_up(given)
    taken = seconds(ways, rounds)
    first, *others = ways
    return {
        **({"could not run": said} if said else {}),
        f"{first}, seconds": float(np.median(taken[first])),
        "time ratios": {way: ratio(taken[way], taken[first]) for way in others},
    }


def extra_peak(script: str, arguments: Sequence[str]) -> float:
    """Run a script in a process of its own, and return the number it prints last: its extra peak, MB.

    There, large blocks of memory are given back as soon as they are freed, so that resident memory
    is what is in use, without the scatter of what the allocator keeps for later.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout.split()[-1])


def measured_extra_peak(way: Callable[[], Any], beside: Callable[[], Any]) -> float:
    """Return by how much the peak of resident memory is higher in one way than in another, MB.

    Both ran once before: what they load for good is not counted. For a process that `extra_peak` started.
    """
    beside()
    way()
    peaks = []
    for run in (beside, way):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        run()
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peaks.append(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024)  # type: ignore[index]
    return peaks[1] - peaks[0]


def machine(threads: int) -> dict[str, Any]:
    """Say what was measured on, and how busy it was before."""
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
    """Measure the parts that were asked for, keep each when it is there, and leave the others as they were."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for part in given.parts:
        found[part] = parts[part](given)
        results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({part: found[part]}, indent=2), flush=True)
