"""Write a parse in CoNLL-U; `conllu` reads it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from daam_syntax.language.conllu_rows import Id, Row, in_one_line, white_space, write_row
from daam_syntax.language.sentence import Sentence, Token
from daam_syntax.language.ud.conversion import detect_labels

PARSER_NAME: Final = "CoNLL-U"
SCHEME: Final = "scheme"
"""Comment of a tree with labels that are not those of Universal Dependencies, although it is read as such."""


def write_sentence(sentence: Sentence) -> str:
    """Return the lines of a sentence, with an empty one at the end; for the errors see `conllu.dumps`."""
    words = [token for token in sentence.tokens if token.text.strip()]
    number = {token.index: i for i, token in enumerate(words, start=1)}
    basic = {edge.dependent: edge for edge in sentence.edges_of("ud")}
    _check_writable(sentence, words, number)
    graph: dict[int, list[tuple[str, Id]]] = {token.index: [] for token in words}
    if "enhanced" in sentence.edges:
        for root in sentence.roots("enhanced"):
            graph[root].append(("root", 0))
        for edge in sentence.edges["enhanced"]:
            graph[edge.dependent].append((edge.relation, number[edge.head]))
    groups: dict[tuple[int, int], list[Token]] = {}
    for token in words:
        groups.setdefault((token.start, token.end), []).append(token)
    following = [*(start for start, _ in list(groups)[1:]), len(sentence.text)]
    rows: list[Row] = []
    for (span, group), start in zip(groups.items(), following, strict=True):
        before = "" if rows else sentence.text[: span[0]]
        misc = _spacing(sentence.text[span[1] : start], before, group[-1] is words[-1])
        if len(group) > 1:
            ids = (number[group[0].index], "-", number[group[-1].index])
            rows.append(Row(ids, group[0].text, misc=misc))
        for token in group:
            edge_in = basic.get(token.index)
            rows.append(
                Row(
                    number[token.index],
                    token.text,
                    token.lemma,
                    token.pos,
                    token.tag,
                    number[edge_in.head] if edge_in else 0,
                    edge_in.relation if edge_in else "root",
                    tuple(sorted(graph[token.index], key=lambda dep: (dep[1], dep[0]))),
                    {} if len(group) > 1 else misc,
                )
            )
    named = {"text": sentence.text, "parser": sentence.parser or PARSER_NAME}
    if detect_labels({edge.relation for edge in basic.values()}) != "ud":
        named[SCHEME] = "ud"
    lines = [f"# {name} = {in_one_line(value)}" for name, value in named.items()]
    return "\n".join((*lines, *map(write_row, rows), "", ""))


def _check_writable(sentence: Sentence, words: Sequence[Token], number: Mapping[int, int]) -> None:
    """Raise if a sentence has what no CoNLL-U can have."""
    edges = sentence.edges_of("ud")
    if len({edge.dependent for edge in edges}) < len(edges):
        raise ValueError(f"Expected one head per word in 'ud', but {sentence!r} has several.")
    if "enhanced" in sentence.edges and not (
        sentence.edges["enhanced"] or sentence.roots("enhanced")
    ):
        raise ValueError(f"Expected a root or an edge in 'enhanced', but {sentence!r} has none.")
    shown = [edge for scheme in ("ud", "enhanced") for edge in sentence.edges.get(scheme, ())]
    ends = {index for edge in shown for index in (edge.head, edge.dependent)}
    blank = sorted(ends - number.keys())
    if blank or not words:
        raise ValueError(
            f"Expected edges between words, but {sentence!r} has none, or some of white space (token {blank[:1]})."
        )
    for one, other in pairwise(words):
        if one.end > other.start and (one.start, one.end) != (other.start, other.end):
            raise ValueError(
                f"Expected words that follow each other, but {one.text!r} and {other.text!r} overlap or are reversed "
                f"in {sentence!r}."
            )


def _spacing(after: str, before: str, is_last: bool) -> dict[str, str]:
    """Return the white space after a token, and before the first, as MISC; a single space is the default."""
    misc = {}
    if before:
        misc["SpacesBefore"] = white_space(before)
    if not after:
        misc["SpaceAfter"] = "No"
    elif after != " " or is_last:
        misc["SpacesAfter"] = white_space(after)
    return misc
