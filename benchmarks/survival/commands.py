"""The commands `analyze` and `run` on the embedded model, in a child of a process that has loaded the libraries."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from benchmarks.survival.contents import digest

_SHARDS: Final = "--batch-size 1 --shard-size 2"
NAME: Final = "my run"
"""Name of each folder that is compared, because pages show it. It has a blank, as many folders of users have."""

SMALL: Final = "--steps 1 --height 64 --width 64 --seeds 2"
PROMPTS: Final = "id,prompt,category\n7,a red cat and a red car,pets\n8,a snowman on a bed,others\n"
OTHER_PROMPTS: Final = PROMPTS.replace("red", "blue").replace("snowman", "dog")
"""As many prompts, with the same ids, so that their files have the same names."""

_FORK: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (negative if a signal ended it), and what it wrote to stderr."""

    code: int
    message: str

    @property
    def is_clean(self) -> bool:
        """Whether it ended without a traceback, and an error is one line."""
        lines = [line for line in self.message.splitlines() if line.startswith("daam-syntax: ")]
        is_said = self.code <= 0 or bool(lines)
        return (
            is_said and "Traceback" not in self.message and "Exception ignored" not in self.message
        )


class Child:
    """A command that runs in a forked process, so that no library must be loaded again."""

    def __init__(self, arguments: list[str], prepare: Callable[[], None] = lambda: None) -> None:
        handle, name = tempfile.mkstemp()
        os.close(handle)
        self._messages = Path(name)
        self.process: BaseProcess = _FORK.Process(
            target=_call, args=(arguments, self._messages, prepare)
        )
        self.process.start()

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.is_alive()

    def ended(self) -> Outcome:
        """Wait until it ends."""
        self.process.join()
        assert self.process.exitcode is not None
        message = self._messages.read_text(encoding="utf-8", errors="replace")
        self._messages.unlink()
        return Outcome(self.process.exitcode, message)


def _call(arguments: list[str], messages: Path, prepare: Callable[[], None]) -> None:
    from daam_syntax.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    written = os.open(messages, os.O_WRONLY)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(written, 2)
    # New streams, because pytest replaces those of this process.
    sys.argv = ["daam-syntax", *arguments]
    with (
        os.fdopen(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
        os.fdopen(2, "w", 1, encoding="utf-8", closefd=False) as sys.stderr,
    ):
        prepare()
        main()


@dataclass(frozen=True)
class Command:
    """A command that fills a folder.

    Attributes
    ----------
    name
        `analyze` or `run`.
    arguments
        What follows the name, except the folder.
    """

    name: str
    arguments: tuple[str, ...]

    def start(self, folder: Path, prepare: Callable[[], None] = lambda: None) -> Child:
        """Start it in a child, which first calls a function."""
        return Child([self.name, *self.arguments, "--out", str(folder)], prepare)

    def finish(self, folder: Path, prepare: Callable[[], None] = lambda: None) -> Outcome:
        """Run it until it ends."""
        return self.start(folder, prepare).ended()

    def contents(self, folder: Path) -> dict[str, str]:
        """Return checksums of what it left, see `digest`."""
        return digest(folder)


def commands(place: Path, *, overviews: bool = False) -> tuple[Command, ...]:
    """Return both commands, on a file of prompts that is written into a folder; one shard has the images of a batch."""
    path = place / "prompts.csv"
    path.write_text(PROMPTS, encoding="utf-8")
    small = tuple(SMALL.split())
    views = () if overviews else ("--no-overviews",)
    return (
        Command("analyze", ("--prompts", str(path), *small, *views)),
        Command("run", (str(path), *small, *_SHARDS.split())),
    )


def on_other_prompts(command: Command, place: Path) -> Command:
    """Return the same command on other prompts, whose file is written into a folder."""
    path = place / "other.csv"
    path.write_text(OTHER_PROMPTS, encoding="utf-8")
    arguments = (str(path) if a.endswith("prompts.csv") else a for a in command.arguments)
    return Command(command.name, tuple(arguments))


def load_libraries() -> None:
    """Load what the commands need, for the children to share."""
    import torch

    import daam_syntax as ds
    from daam_syntax import cli, explorer, runs, workflow  # noqa: F401

    torch.set_num_threads(1)
    ds.load_pipeline()
    ds.parse("a red cat")
