"""Attention between words over the dependency tree: as a matrix, and as arcs with weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, Rectangle
from numpy.typing import NDArray

from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.styles import figure_of
from daam_syntax.figures.shared.word_labels import are_crowded, label, label_fonts
from daam_syntax.maps import WordAttention
from daam_syntax.util.arguments.checks import OWN, checked, within

_CELL: Final = 0.42  # inches
_COLORS: Final = "Blues"
_EDGE: Final = "#D55E00"
_OTHER: Final = "#0072B2"
_LEAST: Final = 0.05
_UPRIGHT: Final = 12  # most words that fit next to each other; more are rotated
_LETTERS: Final = 10  # most letters that fit next to each other


@checked(attention=OWN)
def attention_matrix(
    attention: WordAttention,
    *,
    scheme: str = "ud",
    special: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the attention from each word (row) to each word (column), with the edges of the tree framed.

    Both cells of an edge are framed: a solid frame where the dependent attends to its head, and a dotted one where the
    head attends to the dependent. Words that the model does not read are gray.

    Parameters
    ----------
    attention
        The attention. Kept axes are averaged; see `WordAttention.select` for a layer or head.
    scheme
        Dependency scheme of the edges.
    special
        Whether to show special tokens, so that each row sums to 1.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    expect(attention, WordAttention)
    n = len(attention.labels) if special else len(attention)
    values, words = attention.mean[:n, :n], attention.labels[:n]
    if ax is None:
        side = 1.6 + _CELL * n
        _, ax = plt.subplots(figsize=(side + 0.9, side), layout="constrained")
    edges = [(edge.dependent, edge.head) for edge in attention.sentence.edges_of(scheme)]
    drawn = draw_word_matrix(ax, values, words, edges)
    for place in (len(attention) - 0.5,) if n > len(attention) else ():
        ax.axhline(place, color="0.4", lw=0.8)
        ax.axvline(place, color="0.4", lw=0.8)
    if edges:
        ax.set_xlabel(
            f"to\n(frames: {scheme} edges; solid: dependent to head, dotted: head to dependent)"
        )
    rows = "attention probability" + (", each row sums to 1" if n == len(attention.labels) else "")
    figure_of(ax).colorbar(drawn, ax=ax, label=rows, shrink=0.8)
    return ax


def draw_word_matrix(
    ax: Axes,
    values: NDArray[np.float64],
    words: Sequence[str],
    edges: Sequence[tuple[int, int]],
) -> AxesImage:
    """Draw a matrix of attention from word to word.

    Parameters
    ----------
    ax
        The axes.
    values
        Attention; NaN is gray. *Shape:* ``(query, key)``
    words
        Labels of the rows and columns.
    edges
        Rows and columns with a solid frame; the cells on the other side of the diagonal have a dotted one.

    Returns
    -------
    matplotlib.image.AxesImage
        The matrix, for a color bar.
    """
    ax.set_facecolor("0.9")
    drawn = ax.imshow(values, cmap=_COLORS, vmin=0)
    shown = [label(word) for word in words]
    fonts: dict[str, Any] = {"fontsize": 8, "fontfamily": label_fonts(), "parse_math": False}
    ax.set_xticks(
        range(len(words)), shown, rotation=60, ha="right", rotation_mode="anchor", **fonts
    )
    ax.set_yticks(range(len(words)), shown, **fonts)
    ax.set_xlabel("to")
    ax.set_ylabel("from")
    for row, column in edges:
        for y, x, style in ((row, column, "-"), (column, row, ":")):
            corner = (x - 0.43, y - 0.43)
            ax.add_patch(
                Rectangle(corner, 0.86, 0.86, fill=False, edgecolor=_EDGE, lw=1.3, ls=style)
            )
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return drawn


@checked(least=within(0, 1), attention=OWN)
def attention_arcs(
    attention: WordAttention,
    *,
    scheme: str = "ud",
    least: float = _LEAST,
    ax: Axes | None = None,
) -> Axes:
    """Draw an arc from each word to each word that it attends to, as wide as the attention.

    Arcs to earlier words are above the words, arcs to later ones below. Arcs along edges of the tree, in either
    direction, are orange. The arrow points to the word that is attended to.

    Parameters
    ----------
    attention
        The attention. Kept axes are averaged; see `WordAttention.select` for a layer or head.
    scheme
        Dependency scheme of the edges.
    least
        Attention of the weakest arcs that are drawn, 0 to 1.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    expect(attention, WordAttention)
    n = len(attention)
    values = np.nan_to_num(attention.among_words())
    np.fill_diagonal(values, 0)
    drawn = np.argwhere(values >= max(least, 1e-12))
    reach = [
        max((0.25 * (query - key) * side for query, key in drawn.tolist()), default=0.0)
        for side in (1, -1)
    ]
    top, bottom = (max(0.0, each) + 0.35 for each in reach)
    if ax is None:
        scale = 0.95 if n <= _UPRIGHT else 0.75
        _, ax = plt.subplots(
            figsize=(scale * max(n, 4), scale * (top + bottom) + 0.1), layout="constrained"
        )
    edges = {frozenset((edge.head, edge.dependent)) for edge in attention.sentence.edges_of(scheme)}
    # Wide arcs first, so that they do not hide others.
    order = np.dstack(np.unravel_index(np.argsort(-values, axis=None), values.shape))[0]
    for query, key in order.tolist():
        weight = values[query, key]
        if weight < max(least, 1e-12):
            break
        side = 1 if key < query else -1
        is_edge = frozenset((query, key)) in edges
        start = 0.14 * side
        ax.add_patch(
            FancyArrowPatch(
                (query, start),
                (key, start),
                connectionstyle="arc3,rad=0.5",
                arrowstyle="-|>",
                mutation_scale=7 + 6 * weight,
                lw=0.5 + 6 * weight,
                color=_EDGE if is_edge else _OTHER,
                alpha=0.85 if is_edge else 0.35,
                shrinkA=0,
                shrinkB=0,
            )
        )
    names = [label(token.text) for token in attention.sentence.tokens]
    crowded = n > _UPRIGHT or are_crowded(names, _LETTERS)
    for place, name in enumerate(names):
        ax.text(
            place,
            0,
            name,
            ha="center",
            va="center",
            rotation=30 if crowded else 0,
            fontsize=8 if crowded else 9,
            fontfamily=label_fonts(),
            parse_math=False,
        )
    widest = f" to {values.max():.2g}" if len(drawn) else ""
    ax.set_title(
        f"arrows to the attended word; width: attention probability, {least:g}{widest}; orange: {scheme} edges",
        loc="left",
        fontsize=7.5,
        color="0.35",
    )
    ax.set_xlim(-0.6, n - 0.4)
    ax.set_ylim(-bottom, top)
    ax.set_aspect("equal")  # arcs are as high as the axes leave room for
    ax.set_axis_off()
    return ax
