"""The errors that a user can mend.

Every error that bad input to the command line can cause is a `DaamSyntaxError`, so that it can print it as one
line; arguments that only code can get wrong raise `ValueError`. A message says what was expected, what came, and
what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daam_syntax.language.prompt_sets.problems import RowProblem


class DaamSyntaxError(Exception):
    """Base of all errors that a user of daam-syntax can mend."""


class PromptError(DaamSyntaxError, ValueError):
    """A prompt, or a file of prompts, that cannot be used."""


class PromptFileError(PromptError):
    """A file, or other rows, of prompts with problems.

    Attributes
    ----------
    problems
        All of them, in order.
    """

    def __init__(self, message: str, problems: Sequence[RowProblem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


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
    """Steps, layers or heads that heat maps do not have, or do not keep apart."""


class TraceError(DaamSyntaxError, RuntimeError):
    """Attention that could not be recorded, or a recording that cannot be read."""


class MemoryLimitError(TraceError):
    """A recording that would take more memory than it may.

    Attributes
    ----------
    predicted_bytes
        What it would take.
    max_bytes
        What it may take.
    """

    def __init__(self, message: str, predicted_bytes: int, max_bytes: int) -> None:
        super().__init__(message)
        self.predicted_bytes = predicted_bytes
        self.max_bytes = max_bytes


class StudyError(DaamSyntaxError, ValueError):
    """A study that does not exist, or whose prompts do not suit it."""
