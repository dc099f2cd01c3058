"""Report all problems of a file of prompts in one error."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from daam_syntax.errors import PromptError, PromptFileError, RowProblem

_SHOWN: Final = 100
_CUT: Final = 200


def excerpt(text: object) -> str:
    """Return the beginning of a text, with invalid characters escaped."""
    return str("" if text is None else text).encode("utf-8", "backslashreplace").decode()[:_CUT]


def refusal(source: str, problems: Sequence[RowProblem]) -> PromptFileError:
    """Return the error that lists all problems of a source, one on each line."""
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


def require_order(prompts: object) -> None:
    """Raise a `PromptError` for a set, whose order differs between processes, and for an open file."""
    if isinstance(prompts, set | frozenset):
        raise PromptError(
            "Expected prompts in an order, but got a set, whose order differs between processes: pass sorted(prompts)."
        )
    if isinstance(prompts, io.IOBase):
        raise PromptError(
            "Expected prompts, but got an open file: read its prompts with PromptSet.from_file(path)."
        )
