"""A dependency tree as arcs over the words of its sentence."""

from __future__ import annotations

from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.word_labels import are_crowded, label, label_fonts, name_label
from daam_syntax.figures.trees.arc_heights import arc_levels
from daam_syntax.language import Edge, Sentence
from daam_syntax.util.arguments.checks import OWN, checked

_ARC: Final = "#4c72b0"
_STEP: Final = 1.0  # height of one level of arcs
_UPRIGHT: Final = 16  # most words that fit next to each other; more are rotated
RELATION: Final = 16
"""Most letters of a relation for each word that its arc spans."""

_LETTERS: Final = 11  # most letters that fit below a word's arcs


@checked(sentence=OWN)
def dependency_arcs(
    sentence: Sentence, *, scheme: str = "ud", ax: Axes | None = None, show_words: bool = True
) -> Axes:
    """Draw an arc from each head to each of its dependents, labeled with the relation.

    Parameters
    ----------
    sentence
        The parsed prompt. Word *i* is at x = *i*.
    scheme
        Dependency scheme of the edges.
    ax
        Axes to draw on; new ones if None.
    show_words
        Whether to write the words below the arcs.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    expect(sentence, Sentence)
    if ax is None:
        width = max(4.0, 0.95 * min(len(sentence), 24))
        height = 0.5 + arcs_height(sentence, scheme)
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    edges = sentence.edges_of(scheme)
    levels = arc_levels(edges)
    top = max(levels.values(), default=1)
    for edge in edges:
        _draw_arc(ax, edge, levels[edge])
    for root in sentence.roots(scheme):
        if sentence[root].text.strip():
            height = (top + 0.55) * _STEP
            ax.annotate(
                "",
                xy=(root, 0.0),
                xytext=(root, height),
                arrowprops={"arrowstyle": "-|>", "color": "0.45", "lw": 0.9, "shrinkB": 1},
            )
            ax.text(root, height, "root", ha="center", va="bottom", fontsize=7, color="0.35")
    ax.set_xlim(-0.5, len(sentence) - 0.5)
    names = [label(token.text) for token in sentence.tokens]
    crowded = len(names) > _UPRIGHT or are_crowded(names, _LETTERS)
    below = (0.35 * top + 0.6 if crowded else 0.75) if show_words else 0.0
    ax.set_ylim(-below, (top + 1.0) * _STEP)
    if show_words:
        for place, name in enumerate(names):
            ax.text(
                place,
                -0.15,
                name,
                ha="right" if crowded else "center",
                va="top",
                rotation=40 if crowded else 0,
                rotation_mode="anchor" if crowded else "default",
                fontsize=8 if crowded else 9,
                fontfamily=label_fonts(),
                parse_math=False,
            )
    ax.set_axis_off()
    return ax


def arcs_height(sentence: Sentence, scheme: str) -> float:
    """Return the height in inches at which the labels of arcs do not touch those above."""
    top = max(arc_levels(sentence.edges_of(scheme)).values(), default=1)
    return max(2.1, 0.2 * (top + 2))


def _draw_arc(ax: Axes, edge: Edge, level: int) -> None:
    """Draw a bracket with round corners; the ends of arcs that share a word do not touch."""
    inwards = 0.12 if edge.head < edge.dependent else -0.12
    start, end = edge.head + inwards, edge.dependent - inwards / 2
    height = level * _STEP
    corner = min(0.18, abs(end - start) / 3) * (1 if end > start else -1)
    rounding = 0.35 * _STEP
    path = Path(
        [
            (start, 0.0),
            (start, height - rounding),
            (start, height),
            (start + corner, height),
            (end - corner, height),
            (end, height),
            (end, height - rounding),
            (end, 0.0),
        ],
        [
            Path.MOVETO,
            Path.LINETO,
            Path.CURVE3,
            Path.CURVE3,
            Path.LINETO,
            Path.CURVE3,
            Path.CURVE3,
            Path.LINETO,
        ],
    )
    ax.add_patch(
        FancyArrowPatch(
            path=path, arrowstyle="-|>", mutation_scale=7, color=_ARC, lw=1.1, shrinkB=0
        )
    )
    ax.text(
        (start + end) / 2,
        height,
        name_label(edge.relation, max(1, round(abs(end - start))) * RELATION),
        fontfamily=label_fonts(),
        parse_math=False,
        ha="center",
        va="center",
        fontsize=7,
        color="0.15",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )
