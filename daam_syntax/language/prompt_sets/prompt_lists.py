"""Checks of a list of prompts that a caller passes directly, without a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from daam_syntax.errors import PromptError
from daam_syntax.language.parses import SUFFIXES as PARSES
from daam_syntax.language.prompt_sets.files.formats import SUFFIXES
from daam_syntax.language.prompt_sets.problems import require_order
from daam_syntax.language.prompt_text import check_prompt


def check_prompts(prompts: str | Iterable[str]) -> list[str]:
    """Return prompts as a list if all are usable and different.

    Raises
    ------
    PromptError
        If there are no prompts, or a prompt is blank, not a string, repeated, or the name of a file.
    """
    require_order(prompts)
    is_array = (
        not isinstance(prompts, str) and getattr(prompts, "ndim", 1) != 1
    )  # of one, or a table
    if is_array or isinstance(prompts, Path | Mapping | bytes) or not isinstance(prompts, Iterable):
        remedy = "make a set with PromptSet.from_records(table), or read a file with PromptSet.from_file(path)"
        if isinstance(prompts, Mapping):
            remedy = "take list(prompts) if its keys are the prompts, or list(prompts.values())"
        raise PromptError(
            f"Expected prompts as strings, in a list, a column or a PromptSet, but got {type(prompts).__name__}; "
            f"{remedy}."
        )
    checked = [check_prompt(p) for p in ([prompts] if isinstance(prompts, str) else prompts)]
    for prompt in checked:
        _require_no_file_name(prompt)
    if not checked:
        raise PromptError("Expected at least one prompt, but got none.")
    twice = next((p for p, n in Counter(checked).items() if n > 1), None)
    if twice is not None:
        raise PromptError(
            f"Expected each prompt once, but got {twice!r} twice; ask for more seeds instead."
        )
    return checked


def _require_no_file_name(prompt: str) -> None:
    """Raise a `PromptError` for the name of a file of prompts, also of one that does not exist."""
    suffix = Path(prompt).suffix.lower()
    if suffix not in (*SUFFIXES, *PARSES):
        return
    if _is_file(prompt):
        read = "conllu.read" if suffix in PARSES else "PromptSet.from_file"
        raise PromptError(
            f"Expected a prompt, but {prompt!r} is a file; read its prompts with {read}({prompt!r}), or "
            f"--prompts {prompt}."
        )
    if not any(map(str.isspace, prompt)):
        raise PromptError(
            f"Expected a prompt, but {prompt!r} is the name of a file that does not exist here; check its folder."
        )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # the name is too long
        return False
