"""The prompts of a run: what cannot be used is left out and said, and the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from daam_syntax.language import PromptSet


def gather(prompts: str | Path | PromptSet | Iterable[str], format: str | None = None) -> PromptSet:
    """Return the prompts of a file, a list or a set; rows that cannot be used are in its `problems`.

    Raises
    ------
    FileError
        If the file cannot be read.
    PromptError
        If there is no usable prompt, or the file has columns that are not known.
    """
    if isinstance(prompts, PromptSet):
        return prompts
    if isinstance(prompts, str | Path):
        return PromptSet.from_file(prompts, format, strict=False)
    return PromptSet.from_records(prompts, strict=False)
