"""Columns of the pair table that depend only on the parse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple, TypeAlias

from daam_syntax.language.sentence import Edge, Token

Columns: TypeAlias = "dict[str, list[Any]]"
"""Rows of a table, stored by column."""


class _Pair(NamedTuple):
    kind: Literal["dependency", "unrelated"]
    relation: str
    head: int
    dependent: int


def _pairs(tokens: Sequence[Token], edges: Iterable[Edge], unrelated: bool) -> Iterator[_Pair]:
    joined = set()
    for edge in edges:
        joined.add(frozenset((edge.head, edge.dependent)))
        yield _Pair("dependency", edge.relation, edge.head, edge.dependent)
    if unrelated:
        words = [t.index for t in tokens if t.text.strip() and t.pos != "PUNCT"]
        for first, second in combinations(words, 2):
            if frozenset((first, second)) not in joined:
                yield _Pair("unrelated", "unrelated", first, second)


def parsed_columns(
    tokens: Sequence[Token], edges: Iterable[Edge], unrelated: bool = True
) -> Columns:
    """Return the pairs of a parse with everything that depends only on it, stored by column.

    Parameters
    ----------
    tokens
        The tokens of the parse.
    edges
        The edges of one scheme.
    unrelated
        Whether to add the control.
    """
    pairs = list(_pairs(tokens, edges, unrelated))
    heads = [tokens[pair.head] for pair in pairs]
    dependents = [tokens[pair.dependent] for pair in pairs]
    return {
        "kind": [pair.kind for pair in pairs],
        "relation": [pair.relation for pair in pairs],
        "head_index": [pair.head for pair in pairs],
        "dependent_index": [pair.dependent for pair in pairs],
        "head": [token.text for token in heads],
        "dependent": [token.text for token in dependents],
        "head_lemma": [token.lemma for token in heads],
        "dependent_lemma": [token.lemma for token in dependents],
        "head_pos": [token.pos for token in heads],
        "dependent_pos": [token.pos for token in dependents],
        "linear_distance": [pair.dependent - pair.head for pair in pairs],
    }
