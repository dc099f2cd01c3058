"""How high the arcs of a tree stand, wherever they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

from daam_syntax.language.sentence import Edge


def nesting(edges: Sequence[Edge]) -> dict[Edge, int]:
    """Give each arc the lowest level, from 1, above every arc that it spans, so that arcs do not cross."""
    spans = {edge: sorted((edge.head, edge.dependent)) for edge in edges}
    levels: dict[Edge, int] = {}
    for edge in sorted(edges, key=lambda e: spans[e][1] - spans[e][0]):
        left, right = spans[edge]
        below = [
            level
            for other, level in levels.items()
            if spans[other][0] < right and spans[other][1] > left
        ]
        levels[edge] = max(below, default=0) + 1
    return levels
