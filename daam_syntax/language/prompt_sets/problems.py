"""What is wrong with a file of prompts, row by row, so that all of it can be said at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from daam_syntax.errors import PromptFileError

_SHOWN: Final = 100
_CUT: Final = 200

Unit = Literal["line", "row"]
Kind = Literal["row", "file", "repeat", "pair"]


@dataclass(frozen=True)
class RowProblem:
    """One problem of a file, or of other rows of prompts.

    Attributes
    ----------
    row
        Where: line of the file, or row of the table, from 1; the first line of a row that has several.
    message
        What was expected, and what came.
    text
        The prompt, or the row as it was read, in valid characters and cut off after 200; "" where it is about no row.
    unit
        Whether `row` counts lines or rows.
    kind
        "row" where the row cannot be used; "file" where it concerns all rows, for instance a column that is not known;
        "repeat" of a prompt that was there before; "pair" where only the pair cannot be used.
    """

    row: int
    message: str
    text: str = ""
    unit: Unit = "line"
    kind: Kind = "row"

    def __str__(self) -> str:
        return f"{self.unit} {self.row}: {self.message}"


def excerpt(text: object) -> str:
    """Return the beginning of a text in valid characters."""
    return str("" if text is None else text).encode("utf-8", "backslashreplace").decode()[:_CUT]


def refusal(source: str, problems: Sequence[RowProblem]) -> PromptFileError:
    """Return the error that says all problems of a source, one a line."""
    ordered = tuple(sorted(problems, key=lambda problem: problem.row))
    if len(ordered) == 1:
        return PromptFileError(f"Expected prompts in {source}, but {ordered[0]}", ordered)
    lines = [
        f"Expected prompts in {source}, but it has {len(ordered):,} problems:",
        *map(str, ordered[:_SHOWN]),
    ]
    if len(ordered) > _SHOWN:
        lines.append(f"and {len(ordered) - _SHOWN:,} more (all are in the error's `problems`)")
    return PromptFileError("\n  ".join(lines), ordered)
