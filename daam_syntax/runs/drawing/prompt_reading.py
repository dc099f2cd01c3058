"""Read the prompts of a run; prompts that cannot be used are left out and reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Union

import pandas as pd

from daam_syntax.errors import PromptError
from daam_syntax.language import PromptSet, Sentence, check_prompts, conllu, from_doc, prompt_id
from daam_syntax.language.parser import count_words, is_doc
from daam_syntax.language.prompt_sets import find_prompts
from daam_syntax.runs.problems import Problem

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MOST_WORDS: Final = 512
"""More than the tokens that any text encoder reads. So many words have 130,000 pairs, each of them a row."""

_CUT: Final = 200  # characters of a prompt that are shown
_PARSED: Final = (".conllu", ".conll")

Given = Union[str, "Sentence", "Doc"]
"""A prompt, or its parse."""


def read_prompts(
    prompts: str | Path | PromptSet | Given | Iterable[Given | Mapping[str, Any]],
    format: str | None = None,
) -> tuple[PromptSet, dict[str, Sentence]]:
    """Return the prompts of a file, of a set of the package, or of a list; its `problems` name the unusable rows.

    Parameters
    ----------
    prompts
        A file, also of CoNLL-U; a set or its name; or texts, spaCy Docs or sentences.
    format
        Format of the file; inferred from its name if None.

    Returns
    -------
    prompts : PromptSet
        The prompts.
    given : dict
        Parses that were given, by the text of their prompt.

    Raises
    ------
    FileError
        If the file cannot be read.
    PromptError
        If there is no usable prompt, or the file has unknown columns.
    """
    if isinstance(prompts, PromptSet):
        return prompts, {}
    if isinstance(prompts, str | Path):
        if Path(prompts).suffix.lower() in _PARSED:
            return _parsed(conllu.read(prompts))
        return find_prompts(prompts, format, strict=False), {}
    return _listed(prompts, strict=False)


def given_prompts(
    prompts: str | PromptSet | Given | Iterable[Given],
) -> tuple[PromptSet, dict[str, Sentence]]:
    """Return prompts that a caller gave directly; a string is one prompt. See `read_prompts`.

    Raises
    ------
    PromptError
        If a prompt cannot be used, occurs twice, or is the name of a file.
    """
    if isinstance(prompts, PromptSet):
        check_prompts(prompts)
        return prompts, {}
    if isinstance(prompts, Path) and prompts.suffix.lower() in _PARSED:
        return _parsed(conllu.read(prompts))
    return _listed([prompts] if isinstance(prompts, str) else prompts, strict=True)


def _listed(prompts: Any, *, strict: bool) -> tuple[PromptSet, dict[str, Sentence]]:
    """Return the prompts of a list of texts and parses."""
    if isinstance(prompts, Sentence) or is_doc(prompts):
        prompts = [prompts]
    given: dict[str, Sentence] = {}
    if isinstance(prompts, Iterable) and not isinstance(prompts, Mapping | pd.DataFrame):
        listed = [from_doc(each) if is_doc(each) else each for each in prompts]
        given = {each.text: each for each in listed if isinstance(each, Sentence)}
        prompts = [each.text if isinstance(each, Sentence) else each for each in listed]
    if strict:
        return PromptSet.from_records(check_prompts(prompts)), given
    if not isinstance(prompts, list | pd.DataFrame):
        raise PromptError(
            "Expected prompts: a file, a PromptSet, or a list of texts or parses, but got "
            f"{type(prompts).__name__}."
        )
    return PromptSet.from_records(prompts, strict=False), given


def _parsed(sentences: Sequence[Sentence]) -> tuple[PromptSet, dict[str, Sentence]]:
    return _listed(list(sentences), strict=False)


def leave_out_long_prompts(
    prompts: PromptSet, given: Mapping[str, Sentence], parser: str | Language | None
) -> tuple[PromptSet, list[Problem]]:
    """Leave out prompts with so many words that the table of their pairs would exhaust the memory.

    Returns
    -------
    prompts : PromptSet
        The other prompts, with the problems of the file.
    problems : list of Problem
        The prompts that were left out.

    Raises
    ------
    PromptError
        If no prompt remains.
    """
    # A word has at least one character, so the others need not be counted.
    suspects = [text for text in prompts if len(text) > MOST_WORDS]
    counted = [text for text in suspects if text not in given]
    counts = dict(zip(counted, count_words(counted, parser), strict=True))
    counts |= {text: len(given[text]) for text in suspects if text in given}
    long = {text: n for text, n in counts.items() if n > MOST_WORDS}
    problems = [
        Problem(
            "prompts",
            "too many words",
            f"Expected at most {MOST_WORDS:,} words, but got {n:,}.",
            "It was left out.",
            prompt=text[:_CUT],
            prompt_id=prompt_id(text),
        )
        for text, n in long.items()
    ]
    if not problems:
        return prompts, []
    if len(long) == len(prompts):
        raise PromptError(
            f"Expected at least one usable prompt, but there is none: {problems[0].message}"
        )
    chosen = prompts.where(lambda row: row.text not in long)
    return replace(chosen, problems=prompts.problems), problems
