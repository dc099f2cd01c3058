"""The table of survived faults in ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MEANINGS: Final = {
    "SIGKILL": "SIGKILL at a random moment",
    "SIGTERM": "SIGTERM at a random moment",
    "Ctrl-C": "Ctrl-C at a random moment",
    "flipped": "each file: a byte flipped",
    "cut": "each file: cut in half",
    "emptied": "each file: emptied",
    "deleted": "each file: deleted",
    "replaced": "each file: replaced by that of another run",
    "full disk": "full disk (a file system of random size)",
    "no file left on the disk": "no inode left (a file system of a random number of files)",
    "limited size of a file": "limit on the size of a file (random)",
    "too many open files": "no file handle left from a random moment on",
    "second writer": "a second command in the same folder",
    "scheduler that outlives a run": "a scheduler that outlives a run of other prompts in the same folder",
    "worker killed": "the worker killed at a random moment",
    "scheduler killed": "the scheduler killed at a random moment",
}
COMMANDS: Final = ("analyze", "run")


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the rows of all parts that were measured, as Markdown."""
    lines = [
        "| fault | `analyze`: identical | one line, no traceback | `run`: identical | one line, no traceback |",
        "|---|---|---|---|---|",
    ]
    for part in results.values():
        for kind, counts in part.items():
            cells = [_cells(counts.get(command)) for command in COMMANDS]
            lines.append(f"| {_MEANINGS[kind]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(count: Mapping[str, Any] | None) -> str:
    if count is None:
        return " | "
    return f"{count['survived']} of {count['trials']} | {count['clean']} of {count['trials']}"
