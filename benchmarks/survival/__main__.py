"""Run the parts that are asked for, all if none; see `benchmarks.survival`."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

import benchmarks.survival
from benchmarks.survival.clusters import cluster_trials
from benchmarks.survival.commands import Command, commands, load_libraries
from benchmarks.survival.damage import damage_trials
from benchmarks.survival.limits import limit_trials
from benchmarks.survival.page import COMMANDS
from benchmarks.survival.signals import signal_trials
from benchmarks.survival.trials import Count
from benchmarks.survival.writers import writer_trials

RESULTS: Final = Path(__file__).parents[1] / "results" / "survival.json"
Part = Callable[[Command, Path, int], Iterator[tuple[str, Count]]]
PARTS: Final[dict[str, Part]] = {
    "signals": signal_trials,
    "damage": lambda command, place, trials: damage_trials(command, place),
    "limits": limit_trials,
    "writers": writer_trials,
    "clusters": cluster_trials,
}


def measure(part: str, trials: int, names: Collection[str]) -> dict[str, Any]:
    """Return the counts of a part for commands with these names: by kind, then by command."""
    found: dict[str, Any] = {}
    place = Path(tempfile.mkdtemp())
    try:
        for command in commands(place, overviews=part == "damage"):
            if command.name not in names or (part == "clusters" and command.name != "run"):
                continue
            own = place / command.name
            own.mkdir()
            for kind, count in PARTS[part](command, own, trials):
                found.setdefault(kind, {})[command.name] = count.as_dict()
                print(part, kind, command.name, count.as_dict(), flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return found


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        description=benchmarks.survival.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--trials", type=int, default=40, help="of each random kind")
    parser.add_argument("--command", choices=COMMANDS, help="both if left out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}, only {', '.join(PARTS)}")
    load_libraries()
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    names = [arguments.command] if arguments.command else COMMANDS
    for part in arguments.parts or PARTS:
        kinds = results.setdefault(part, {})
        for kind, counts in measure(part, arguments.trials, names).items():
            kinds.setdefault(kind, {}).update(counts)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
