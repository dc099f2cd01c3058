"""The prompts of a run: what cannot be used is left out and said, and the rest goes on."""

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
"""No text encoder reads so many tokens; the pairs of words, of which every one has a row, are then 130,000."""

_CUT: Final = 200  # characters of a prompt that are shown


def gather(prompts: str | Path | PromptSet | Iterable[str]) -> PromptSet:
    """Return the prompts of a file, of a set of the package, or of a list; what cannot be used is in its `problems`.

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
        return find_prompts(prompts, strict=False)
    return PromptSet.from_records(prompts, strict=False)


def measurable(
    prompts: PromptSet, sentences: Sequence[Sentence]
) -> tuple[PromptSet, list[Sentence], list[Problem]]:
    """Leave out prompts of so many words that the table of their pairs would fill the memory.

    Returns
    -------
    prompts : PromptSet
        The others, with the problems of the file.
    sentences : list of Sentence
        Their parses.
    problems : list of Problem
        What was left out.

    Raises
    ------
    PromptError
        If nothing is left.
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
