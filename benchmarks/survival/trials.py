"""Count how many trials of each kind were survived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.survival.commands import Command, Outcome


@dataclass
class Count:
    """Trials of one kind.

    Attributes
    ----------
    trials
        How many there were.
    survived
        After how many everything is identical.
    clean
        After how many the command that the fault met ended without a traceback, and an error with one line.
    lost
        What went wrong in the others.
    """

    trials: int = 0
    survived: int = 0
    clean: int = 0
    lost: list[str] = field(default_factory=list)

    def add(self, first: Outcome, problem: str) -> None:
        """Add a trial: how the first command ended, and what is not identical after the second; "" if everything is."""
        self.trials += 1
        self.survived += not problem
        self.clean += first.is_clean
        if problem or not first.is_clean:
            self.lost.append(f"{problem} {first.code} {first.message[-300:]}".strip())

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {**vars(self), "lost": self.lost[:5]}


def problem_after(command: Command, folder: Path, expected: Mapping[str, str]) -> str:
    """Give a command again, and return what is not identical afterwards; "" if everything is."""
    again = command.finish(folder)
    if again.code:
        return f"the second command failed: {again.message[-300:]}"
    return difference(command, folder, expected)


def difference(command: Command, folder: Path, expected: Mapping[str, str]) -> str:
    """Return what in a folder is not as expected; "" if nothing is."""
    from daam_syntax.errors import DaamSyntaxError

    try:
        found = command.contents(folder)
    except (AssertionError, DaamSyntaxError) as error:
        return str(error)
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"not identical: {', '.join(names[:5])}" if names else ""
