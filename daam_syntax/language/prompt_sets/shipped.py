"""The sets of prompts that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.prompt_set import PromptSet
from daam_syntax.util.data_files import data_path

SHIPPED: Final = {
    "adjectives": "two nouns, each with a colour",
    "cohyponyms": "two nouns of one category, of one kind, or of different kinds",
    "emoji-relations": "sentences for the emoji model, as many for each of ten dependency relations",
    "minimal-pairs": "pairs that differ in one word",
    "open": "little said and much left open",
    "real-models": "captions for other models, 22 for each of ten dependency relations",
    "scenes": "a few of each kind of scene",
}
"""Sets by name; all but ``real-models`` are made of the words that the embedded model knows."""


def prompts(name: str) -> PromptSet:
    """Return a set of prompts that comes with the package.

    Parameters
    ----------
    name
        "adjectives", "cohyponyms", "emoji-relations", "minimal-pairs", "open", "real-models" or "scenes"; what they
        hold stands in ``daam_syntax.language.prompt_sets.SHIPPED``, and ``daam-syntax prompts`` prints it.

    Returns
    -------
    PromptSet
        It stands wherever a list of prompts does.

    Raises
    ------
    PromptError
        If there is none of this name; the message lists all.
    """
    if name not in SHIPPED:
        raise PromptError(f"Expected one of the sets {', '.join(SHIPPED)}, but got {name!r}.")
    return PromptSet.from_file(data_path("prompts", f"{name}.csv"))


def find_prompts(
    source: str | Path, format: str | None = None, *, strict: bool = True
) -> PromptSet:
    """Return the prompts of a file, or a set that comes with the package if no file has its name.

    Parameters
    ----------
    source
        The file, or one of `SHIPPED`.
    format, strict
        Of a file, see `PromptSet.from_file`.

    Raises
    ------
    FileError, PromptError
        See `PromptSet.from_file`.
    """
    if str(source) in SHIPPED and not Path(source).exists():
        return prompts(str(source))
    return PromptSet.from_file(source, format, strict=strict)
