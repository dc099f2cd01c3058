"""Sets of prompts that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.prompt_set import PromptSet
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.data_files import data_path

SHIPPED: Final = {
    "adjectives": "two nouns, each with a color",
    "cohyponyms": "two nouns of one category, of one kind, or of different kinds",
    "contextless": "two nouns, each with a color, and two nouns of which one is left or right of the other",
    "crossed": "pairs with the same two words at the same places, joined by a dependency or not",
    "emoji-relations": "sentences for the embedded model, six for each of ten dependency relations",
    "hard": "two or three objects that the embedded model often gets wrong",
    "minimal-pairs": "pairs that differ in one word",
    "open": "captions that leave much open",
    "real-models": "captions for other models, 22 for each of ten dependency relations",
    "scenes": "a few of each kind of scene",
}
"""Maps each set's name to its contents.

``real-models`` and the relative clauses of ``crossed`` have words that the embedded model does not know.
"""


@checked
def prompts(name: str) -> PromptSet:
    """Return a set of prompts that ships with the package.

    Parameters
    ----------
    name
        "adjectives", "cohyponyms", "contextless", "crossed", "emoji-relations", "hard", "minimal-pairs", "open",
        "real-models" or "scenes"; ``daam_syntax.language.prompt_sets.SHIPPED`` describes them, and ``daam-syntax
        prompts`` prints it.

    Returns
    -------
    PromptSet
        The set, which can be passed wherever a list of prompts can.

    Raises
    ------
    PromptError
        If there is no set with this name; the message lists all names.
    """
    if name not in SHIPPED:
        raise PromptError(f"Expected one of the sets {', '.join(SHIPPED)}, but got {name!r}.")
    return PromptSet.from_file(data_path("prompts", f"{name}.csv"))


def find_prompts(
    source: str | Path, format: str | None = None, *, strict: bool = True
) -> PromptSet:
    """Return the prompts of a file, or a shipped set if no file has its name.

    Parameters
    ----------
    source
        The file, or one of `SHIPPED`.
    format, strict
        See `PromptSet.from_file`; only for a file.

    Raises
    ------
    FileError, PromptError
        See `PromptSet.from_file`.
    """
    if str(source) in SHIPPED and not Path(source).exists():
        return prompts(str(source))
    return PromptSet.from_file(source, format, strict=strict)
