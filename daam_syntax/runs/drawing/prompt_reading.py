"""Read the prompts of a run; prompts that cannot be used are left out and reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language import PromptSet, Sentence, prompt_id
from daam_syntax.language.prompt_sets import find_prompts
from daam_syntax.runs.problems import Problem

MOST_WORDS: Final = 512
"""More than the tokens that any text encoder reads. So many words have 130,000 pairs, each of them a row."""

_CUT: Final = 200  # characters of a prompt that are shown


def read_prompts(prompts: str | Path | PromptSet | Iterable[str]) -> PromptSet:
    """Return the prompts of a file, of a set of the package, or of a list; `problems` names the unusable rows.

    Raises
    ------
    FileError
        If the file cannot be read.
    PromptError
        If there is no usable prompt, or the file has unknown columns.
    """
    if isinstance(prompts, PromptSet):
        return prompts
    if isinstance(prompts, str | Path):
        return find_prompts(prompts, strict=False)
    return PromptSet.from_records(prompts, strict=False)


def leave_out_long_prompts(
    prompts: PromptSet, sentences: Sequence[Sentence]
) -> tuple[PromptSet, list[Sentence], list[Problem]]:
    """Leave out prompts with so many words that the table of their pairs would exhaust the memory.

    Returns
    -------
    prompts : PromptSet
        The other prompts, with the problems of the file.
    sentences : list of Sentence
        Their parses.
    problems : list of Problem
        The prompts that were left out.

    Raises
    ------
    PromptError
        If no prompt remains.
    """
    kept = [sentence for sentence in sentences if len(sentence) <= MOST_WORDS]
    problems = [
        Problem(
            "prompts",
            "too many words",
            f"Expected at most {MOST_WORDS:,} words, but got {len(sentence):,}.",
            "It was left out.",
            prompt=sentence.text[:_CUT],
            prompt_id=prompt_id(sentence.text),
        )
        for sentence in sentences
        if len(sentence) > MOST_WORDS
    ]
    if not problems:
        return prompts, kept, []
    if not kept:
        raise PromptError(
            f"Expected at least one usable prompt, but there is none: {problems[0].message}"
        )
    texts = {sentence.text for sentence in kept}
    chosen = prompts.where(lambda row: row.text in texts)
    return replace(chosen, problems=prompts.problems), kept, problems
