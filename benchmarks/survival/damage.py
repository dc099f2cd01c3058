"""Damage each file of a finished folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.survival.commands import NAME, Command, Outcome, on_other_prompts
from benchmarks.survival.signals import uninterrupted
from benchmarks.survival.trials import Count, problem_after


def flip(path: Path, other: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path, other: Path) -> None:
    """Keep the first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path, other: Path) -> None:
    """Keep nothing."""
    path.write_bytes(b"")


def delete(path: Path, other: Path) -> None:
    """Delete it."""
    path.unlink()


def replace(path: Path, other: Path) -> None:
    """Put the file of the same name of another run there, or text if it has none."""
    path.write_bytes(other.read_bytes() if other.exists() else b"something else\n")


DAMAGES: Final[dict[str, Callable[[Path, Path], None]]] = {
    "flipped": flip,
    "cut": cut,
    "emptied": empty,
    "deleted": delete,
    "replaced": replace,
}


def damage_trials(command: Command, place: Path, every: int = 1) -> Iterator[tuple[str, Count]]:
    """Yield each kind of damage with its counts over all files, or over every so manieth of them.

    What the fault meets is a reader of the folder, which must name a damaged file in one line or read what was written.
    """
    whole = place / "whole" / NAME
    expected, _ = uninterrupted(command, whole)
    other = place / "other" / NAME
    uninterrupted(on_other_prompts(command, place), other)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    for number, (kind, damage) in enumerate(DAMAGES.items()):
        count = Count()
        for name in files[number % every :: every]:
            folder = place / "damaged" / NAME
            shutil.copytree(whole, folder)
            damage(folder / name, other / name)
            read = _read(folder)
            problem = problem_after(command, folder, expected)
            count.add(read, f"{name}: {problem}" if problem else "")
            shutil.rmtree(folder)
        yield kind, count


def _read(folder: Path) -> Outcome:
    """Read all that a folder holds, and return how that ended."""
    from daam_syntax import runs
    from daam_syntax.errors import DaamSyntaxError

    try:
        run = runs.open_run(folder)
        run.pairs(), run.words(), run.images(), run.problems()
        list(run.maps()), list(run.pil_images())
        assert run.prompts, run.sentences
    except DaamSyntaxError as error:
        is_named = str(folder) in str(error) and "\n" not in str(error)
        return Outcome(1, f"daam-syntax: {error}" if is_named else f"Traceback: {error}")
    except Exception as error:
        return Outcome(1, f"Traceback: {error!r}")
    return Outcome(0, "")
