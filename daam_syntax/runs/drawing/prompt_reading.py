"""Read the prompts of a run; prompts that cannot be used are left out and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from daam_syntax.errors import PromptError
from daam_syntax.language import Prompt, PromptSet, Sentence, check_prompts, prompt_id
from daam_syntax.language.parser import Parse, count_words
from daam_syntax.language.parses import SUFFIXES, each_given, is_conllu, named_parses_in
from daam_syntax.language.prompt_sets import find_prompts
from daam_syntax.language.prompt_sets.field_checks import is_id
from daam_syntax.language.prompt_sets.problems import require_order
from daam_syntax.runs.problems import Problem

if TYPE_CHECKING:
    from spacy.language import Language

MOST_WORDS: Final = 512
"""More than the tokens that any text encoder reads. So many words have 130,000 pairs, each of them a row."""

_CUT: Final = 200  # characters of a prompt that are shown

Given = str | Path | Parse | Prompt | Mapping[str, Any]
"""A prompt; its parse; a file of CoNLL-U; or a prompt with its columns."""


def read_prompts(
    prompts: PromptSet | Given | Iterable[Given],
    format: str | None = None,
) -> tuple[PromptSet, dict[str, Sentence]]:
    """Return the prompts of a file, of a set of the package, or of a list; its `problems` name the unusable rows.

    Parameters
    ----------
    prompts
        A file, also of CoNLL-U; a set or its name; or texts, sentences, spaCy Docs, files of CoNLL-U, `Prompt` values,
        and mappings from columns to values. The names of sentences in CoNLL-U are their ids.
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
        if str(prompts).lower().endswith(SUFFIXES):
            return _listed(Path(prompts), strict=False)
        if isinstance(prompts, str) and is_conllu(prompts):
            return _listed(prompts, strict=False)
        return find_prompts(prompts, format, strict=False), {}
    return _listed(prompts, strict=False)


def given_prompts(
    prompts: PromptSet | Given | Iterable[Given],
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
    return _listed(prompts, strict=True)


def _listed(prompts: Any, *, strict: bool) -> tuple[PromptSet, dict[str, Sentence]]:
    """Return the prompts of a list of texts and parses; that of a prompt which is there twice is the first."""
    require_order(prompts)
    given: dict[str, Sentence] = {}
    texts: Any = prompts
    if _is_list(prompts):
        texts = []
        for each in each_given(prompts):
            parses = named_parses_in(each)
            texts += [each] if parses is None else _with_names(parses)
            given = {parse.text: parse for _, parse in parses or ()} | given
    if strict:
        has_columns = isinstance(texts, list) and any(
            isinstance(t, Prompt | Mapping) for t in texts
        )
        return PromptSet.from_records(texts if has_columns else check_prompts(texts)), given
    if not isinstance(texts, list | pd.DataFrame):
        raise PromptError(
            "Expected prompts: a file, a PromptSet, or a list of texts or parses, but got "
            f"{type(texts).__name__}."
        )
    return PromptSet.from_records(texts, strict=False), given


def _with_names(parses: Sequence[tuple[str, Sentence]]) -> list[str | dict[str, Any]]:
    """Return the texts of parses; those with names as rows with an id, if a prompt can have it, and metadata."""
    counts = Counter(name.casefold() for name, _ in parses)
    rows: list[str | dict[str, Any]] = []
    for name, parse in parses:
        row: dict[str, Any] = {"prompt": parse.text, "metadata": {"sent_id": name}}
        if is_id(name) and counts[name.casefold()] == 1:
            row["id"] = name
        rows.append(row if name else parse.text)
    return rows


def _is_list(prompts: object) -> bool:
    """Whether a value is a text or a parse, or several in an order."""
    others = Mapping | pd.DataFrame | bytes | set | frozenset
    is_file = isinstance(prompts, Path) and prompts.suffix.lower() not in SUFFIXES
    is_iterable = isinstance(each_given(prompts), Iterable)
    return is_iterable and not isinstance(prompts, others) and not is_file


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
