"""Errors that a user can fix.

Any error that bad input to the command line can cause is a `DaamSyntaxError`, which the command prints as one line.
Arguments of another type or out of range raise `ArgumentTypeError` and `ArgumentValueError`, which are also `TypeError`
and `ValueError`; others that only code can get wrong raise `ValueError`. A message says what was expected, what came,
and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RowUnit = Literal["line", "row"]
ProblemKind = Literal["row", "file", "repeat", "pair", "column"]


class DaamSyntaxError(Exception):
    """Base class of all errors that a user of daam-syntax can fix."""


class ArgumentTypeError(DaamSyntaxError, TypeError):
    """An argument of a type that a function does not take."""


class ArgumentValueError(DaamSyntaxError, ValueError):
    """An argument out of its range."""


class PromptError(DaamSyntaxError, ValueError):
    """A prompt, or a file of prompts, that cannot be used."""


@dataclass(frozen=True)
class RowProblem:
    """One problem in a file or table of prompts.

    Attributes
    ----------
    row
        Its position: the line of the file or the row of the table, from 1. A row of several lines has the number of
        its first line.
    message
        What was expected, and what came.
    text
        The prompt or the row as it was read, in valid characters, at most 200 of them; "" if the problem concerns no
        single row.
    unit
        Whether `row` counts lines or rows.
    kind
        "row" if the row cannot be used; "file" if the problem concerns all rows, for instance an unknown column;
        "repeat" if the prompt occurred before; "pair" if the prompt can be used, but not as part of its pair; "column"
        if a column was kept under another name, which is never refused.
    """

    row: int
    message: str
    text: str = ""
    unit: RowUnit = "line"
    kind: ProblemKind = "row"

    def __str__(self) -> str:
        return f"{self.unit} {self.row}: {self.message}"


class PromptFileError(PromptError):
    """A file or table of prompts with problems.

    Attributes
    ----------
    problems
        All problems, in the order of their rows.
    """

    def __init__(self, message: str, problems: Sequence[RowProblem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type[PromptFileError], tuple[str, tuple[RowProblem, ...]]]:
        """Let the error travel between processes, which would pass its message alone."""
        return type(self), (str(self), self.problems)


class ParserError(DaamSyntaxError, ValueError):
    """A dependency parser that cannot be found or loaded."""


class ModelError(DaamSyntaxError, ValueError):
    """A text-to-image model that cannot be found or loaded."""


class ThresholdError(DaamSyntaxError, ValueError):
    """A threshold rule that does not exist, or whose parameter is out of range."""


class WordError(DaamSyntaxError, LookupError):
    """A word that is not in the sentence, is ambiguous, or has no map."""


class FileError(DaamSyntaxError, OSError):
    """A file or folder that cannot be read or written."""


class SelectionError(DaamSyntaxError, LookupError):
    """Steps, layers or attention heads that heat maps do not have, or that were already averaged."""


class TraceError(DaamSyntaxError, RuntimeError):
    """Attention that could not be recorded, or a recording that cannot be read."""


class MemoryLimitError(TraceError):
    """A recording that would exceed its memory limit.

    Attributes
    ----------
    predicted_bytes
        The memory that the recording would need.
    max_bytes
        The limit.
    """

    def __init__(self, message: str, predicted_bytes: int, max_bytes: int) -> None:
        super().__init__(message)
        self.predicted_bytes = predicted_bytes
        self.max_bytes = max_bytes

    def __reduce__(self) -> tuple[type[MemoryLimitError], tuple[str, int, int]]:
        """Let the error travel between processes."""
        return type(self), (str(self), self.predicted_bytes, self.max_bytes)


class StudyError(DaamSyntaxError, ValueError):
    """A study that does not exist, or whose prompts do not suit it."""
