"""Recognize the label set of a parse, and convert it to Universal Dependencies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

from daam_syntax.errors import ParserError
from daam_syntax.language.sentence import Edge, Sentence, Span, Token
from daam_syntax.language.tree import Tree
from daam_syntax.language.ud import clearnlp_rules
from daam_syntax.language.ud.enhanced import to_enhanced
from daam_syntax.util.arguments.checks import checked

SCHEMES: Final = ("native", "ud", "enhanced")
"""The parser's own labels, basic Universal Dependencies, and their enhanced graph."""

_RELATIONS: Final = (
    "acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse dislocated expl fixed "
    "flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis punct reparandum root vocative "
    "xcomp"
)
RELATIONS: Final = frozenset(_RELATIONS.split())
"""The 37 universal relations (https://universaldependencies.org/u/dep/), without subtypes."""

LabelSet = Literal["clearnlp", "ud"]
"""Label sets that can be converted: ClearNLP, which spaCy's English models use, and Universal Dependencies."""


@checked
def check_schemes(
    schemes: str | Iterable[str], sentences: Iterable[Sentence] = ()
) -> tuple[str, ...]:
    """Return one or more schemes as a tuple without repetition.

    Raises
    ------
    ParserError
        If there are no schemes, or a scheme does not exist or is missing from a sentence.
    """
    wanted = tuple(dict.fromkeys([schemes] if isinstance(schemes, str) else schemes or ()))
    unknown = [scheme for scheme in wanted if scheme not in SCHEMES]
    if unknown or not wanted:
        got = ", ".join(map(repr, unknown)) or "none"
        raise ParserError(
            f"Expected one or more of the schemes {', '.join(SCHEMES)}, but got {got}."
        )
    for sentence in sentences:
        for scheme in wanted:
            if scheme not in sentence.edges:
                raise ParserError(
                    f"Expected parses with the scheme {scheme!r}, but those of {sentence.parser} have "
                    f'{", ".join(sentence.edges)}; choose one of these schemes, for instance "native", or another '
                    "parser."
                )
    return wanted


@checked
def detect_labels(labels: Collection[str], edges: Iterable[Edge] = ()) -> LabelSet | None:
    """Infer the label set of a parser or a parse from its labels.

    It is Universal Dependencies if every label is one of the 37 relations, with or without a subtype, and ClearNLP if
    every label is ClearNLP's and at least one is not universal. The labels of a single parse may all belong to both
    ("a red cat and a dog"). Then a conjunction after its head indicates ClearNLP. A conjunction before its head
    indicates UD, and so does a parse without conjunctions, whose tree is the same in both.

    Parameters
    ----------
    labels
        All labels of a parser, or those of one parse.
    edges
        The edges of that parse, which decide if its labels belong to both.

    Returns
    -------
    str or None
        None for any other label set, such as that of spaCy's German and Chinese models.
    """
    used = {label for label in labels if label and label.lower() != "root"}
    if all(label.split(":")[0] in RELATIONS for label in used):
        after = any(e.relation == "cc" and e.head < e.dependent for e in edges)
        return "clearnlp" if after and used <= clearnlp_rules.LABELS else "ud"
    return "clearnlp" if used <= clearnlp_rules.LABELS else None


def universal_sentence(
    text: str,
    tokens: Sequence[Token],
    native: Iterable[Edge],
    label_set: LabelSet | None,
    noun_phrases: Iterable[Span] = (),
    parser: str = "",
    names: Iterable[Span] = (),
) -> Sentence:
    """Build a sentence with the schemes ``native``, ``ud`` and ``enhanced``.

    Parameters
    ----------
    text, tokens, noun_phrases, parser
        See `Sentence`.
    native
        The parser's own edges.
    label_set
        Label set of these edges; None if it cannot be converted, which leaves ``native`` as the only scheme.
    names
        Names of people, which are `flat` in Universal Dependencies. They are read only if the edges have ClearNLP
        labels. The root of a noun phrase that ends in a name is then the first word of the name.
    """
    tokens, native = tuple(tokens), tuple(native)
    edges: dict[str, tuple[Edge, ...]] = {"native": native}
    roots: Mapping[str, tuple[int, ...]] = {}
    if label_set is not None:
        edges["ud"] = (
            clearnlp_rules.to_ud(tokens, native, names)
            if label_set == "clearnlp"
            else _words_only(tokens, native)
        )
        edges["enhanced"], enhanced_roots = to_enhanced(tokens, edges["ud"])
        roots = {"enhanced": enhanced_roots}
    first_words = {e.dependent: e.head for e in edges.get("ud", ()) if e.relation == "flat"}
    phrases = tuple(_with_root(span, first_words) for span in noun_phrases)
    return Sentence(text, tokens, edges, phrases, parser, roots)


def _with_root(phrase: Span, first_words: Mapping[int, int]) -> Span:
    """Move the root of a noun phrase from the last word of a name to the first."""
    root = first_words.get(phrase.root, phrase.root)
    return Span(phrase.start, phrase.end, root) if phrase.start <= root else phrase


def _words_only(tokens: Sequence[Token], edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Leave out white space, which is not a word in Universal Dependencies."""
    return Tree(tokens, edges).edges()
