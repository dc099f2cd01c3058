"""Levels of dependency arcs above the words, for figures and for the explorer's page."""

from __future__ import annotations

from collections.abc import Sequence

from daam_syntax.language import Edge


def arc_levels(edges: Sequence[Edge]) -> dict[Edge, int]:
    """Assign each arc the lowest level, from 1, that lies above every shorter arc it overlaps.

    Arcs on these levels cross only where the tree itself is not projective.
    """
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
