"""Parses that a user gives in place of texts: sentences, spaCy Docs and Spans, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from daam_syntax.language import conllu
from daam_syntax.language.conllu_rows import lines_of
from daam_syntax.language.parser import from_doc, is_parsed
from daam_syntax.language.sentence import Sentence

SUFFIXES: Final = (".conllu", ".conll")
"""Suffixes of files of parses."""

_WORD: Final = re.compile(r"\d+([-.]\d+)?\t.*\t|(.*\t){9}", re.ASCII)
"""How the line of a word in CoNLL-U begins, even if some of its ten columns are missing."""


def is_conllu(text: str) -> bool:
    """Whether a text is meant as CoNLL-U, of which each line but comments has ten columns between tabs."""
    lines = (line for line in lines_of(text) if line.strip() and not line.startswith("#"))
    return _WORD.match(next(lines, "")) is not None


def parses_in(given: object) -> list[Sentence] | None:
    """Return the parses in a value; None if it is something else. See `named_parses_in`."""
    named = named_parses_in(given)
    return None if named is None else [sentence for _, sentence in named]


def named_parses_in(given: object) -> list[tuple[str, Sentence]] | None:
    """Return the parses in a value with their names; None if it is something else, such as a text that is a prompt.

    Parameters
    ----------
    given
        A `Sentence`; a spaCy Doc, or a Span of one; the path of a file of CoNLL-U, as a `Path` or, if the file exists,
        as a string; or text in CoNLL-U.

    Returns
    -------
    list of (str, Sentence) or None
        The comment ``# sent_id`` of each sentence, "" without one, and the sentence.

    Raises
    ------
    FileError
        If a file cannot be read.
    ParserError
        If a Doc has no dependencies.
    """
    if isinstance(given, Sentence):
        return [("", given)]
    if is_parsed(given):
        return [("", from_doc(given))]
    if isinstance(given, Path):
        return conllu.read_named(given) if given.suffix.lower() in SUFFIXES else None
    if isinstance(given, str):
        if given.lower().endswith(SUFFIXES) and _is_file(given):
            return conllu.read_named(given)
        return conllu.loads_named(given) if is_conllu(given) else None
    return None


def each_given(given: Any) -> Iterable[Any]:
    """Return the items of a list of prompts or parses; a single one is a list of itself."""
    return [given] if isinstance(given, str | Path | Sentence) or is_parsed(given) else given


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # the name is too long, or has a null character
        return False
