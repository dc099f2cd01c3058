"""A dependency tree as an outline whose edges show the overlap of their words."""

from __future__ import annotations

from typing import Any, Final

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import FancyArrowPatch

from daam_syntax.figures.shared.arguments import PAIR_TABLE, expect, require, require_one
from daam_syntax.figures.shared.colors import color_map
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import add_color_bar, new_axes, points
from daam_syntax.figures.shared.word_labels import label, label_fonts, name_label
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked
from daam_syntax.util.wording import plural

_THINNEST, _THICKEST = 0.8, 3.5  # points
_LEAST: Final = 2.2  # inches: room for the label of the color bar
_LEVELS: Final = 4
"""Least number of levels in width: in a flat tree, edges then leave a word below it, not beside it."""


@checked(vmax=POSITIVE, sentence=OWN)
def dependency_graph(
    sentence: Sentence,
    pairs: pd.DataFrame,
    *,
    measure: str = "iou",
    scheme: str = "ud",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the tree from left to right with one word per line; wide, dark edges mean a large overlap.

    Each word is followed by its relation and the mean of the measure over the images. An edge that was measured in no
    image is dotted gray. If a word has several heads (enhanced dependencies), a curve joins it to each head that is not
    exactly one step closer to the root.

    Parameters
    ----------
    sentence
        The parsed prompt.
    pairs
        Pairs of one or more images of that prompt with one threshold, see `measure_pairs`.
    measure
        Column of the table that gives the weight of the edges.
    scheme
        Dependency scheme of the edges.
    vmax
        Top of the scale of widths and colors; the largest mean if None.
    colorbar
        Whether to add a color bar, which takes up part of the axes.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Words are at (tree depth, index), with y pointing down.

    Raises
    ------
    ValueError
        If columns are missing, thresholds are mixed, or pairs belong to another prompt or lack an edge.
    """
    expect(sentence, Sentence)
    weights, n_images = _weights(sentence, pairs, measure, scheme)
    depth = _depths(sentence, scheme)
    deepest = max(depth.values(), default=0)
    if ax is None:
        ax = new_axes(max(_LEAST, 0.4 + 1.75 * points("medium") / 72 * len(sentence)))
    found = [w for w in weights.values() if np.isfinite(w)]
    top = vmax if vmax is not None else max(found, default=1.0)
    norm = Normalize(0.0, top or 1.0)
    heat = color_map()
    colors = [heat(0.25), heat(0.6), heat(1.0)]  # a thin light line is hard to see
    scale = ScalarMappable(norm, LinearSegmentedColormap.from_list("edges", colors))
    for edge, weight in weights.items():
        _draw_edge(ax, edge, weight, depth, scale)
    for token in sentence.tokens:
        incoming = [(e.relation, w) for e, w in weights.items() if e.dependent == token.index]
        _write_word(ax, depth[token.index], token, incoming)
    ax.set_xlim(-0.1, max(deepest, _LEVELS) + 0.5)
    ax.set_ylim(len(sentence) - 0.4, -0.6)
    ax.set_axis_off()
    if colorbar:
        text = f"{measure_label(measure)}\nmean of {plural(n_images, 'image')}"
        add_color_bar(scale, text, ax=ax, shrink=0.8, pad=0.02, aspect=30)
    return ax


def _weights(
    sentence: Sentence, pairs: pd.DataFrame, measure: str, scheme: str
) -> tuple[dict[Edge, float], int]:
    """Return the mean of the measure for each edge, and the number of images."""
    columns = ["prompt", "image", "kind", "scheme", "relation", "head_index", "dependent_index"]
    require(pairs, [*columns, measure], PAIR_TABLE)
    others = set(pairs["prompt"]) - {sentence.text}
    if others:
        raise ValueError(
            f"Expected pairs of {sentence.text!r} only, but got some of {sorted(others)[0]!r}: "
            'select them with pairs[pairs["prompt"] == sentence.text].'
        )
    rows = pairs[(pairs["kind"] == "dependency") & (pairs["scheme"] == scheme)]
    require_one(rows, ["threshold"], PAIR_TABLE)
    means = rows.groupby(["head_index", "dependent_index", "relation"])[measure].mean()
    edges = sentence.edges_of(scheme)
    missing = [e for e in edges if (e.head, e.dependent, e.relation) not in means.index]
    if missing:
        raise ValueError(
            f"Expected a pair for every {scheme} edge of the sentence, but got none for {missing[0]}."
        )
    weights = {e: float(means[e.head, e.dependent, e.relation]) for e in edges}
    return weights, pairs["image"].nunique()


def _depths(sentence: Sentence, scheme: str) -> dict[int, int]:
    """Return the number of edges from the nearest root to each word; 0 for words that cannot be reached from a root."""
    graph = sentence.graph(scheme)
    depths = dict.fromkeys(range(len(sentence)), 0)
    roots = set(sentence.roots(scheme))
    if roots:
        layers = nx.bfs_layers(graph, roots)
        depths |= {word: depth for depth, layer in enumerate(layers) for word in layer}
    return depths


def _draw_edge(
    ax: Axes, edge: Edge, weight: float, depth: dict[int, int], scale: ScalarMappable
) -> None:
    style: dict[str, Any] = {"color": "0.6", "lw": _THINNEST, "ls": ":", "zorder": 1}
    if np.isfinite(weight):
        share = float(np.clip(scale.norm(np.array(weight)), 0.0, 1.0))
        width = _THINNEST + share * (_THICKEST - _THINNEST)
        style = {"color": scale.cmap(share), "lw": width, "ls": "-", "zorder": 1 + share}
    start, end = depth[edge.head], depth[edge.dependent]
    if end == start + 1:
        # Down (or up) from the head, then right: the words between depend on the head and start farther right.
        x = start + 0.12
        ys = [edge.head, edge.dependent, edge.dependent]
        ax.plot([x, x, end], ys, solid_joinstyle="round", **style)
    else:
        ends = (start, edge.head), (end, edge.dependent)
        bow = "arc3,rad=0.3"
        ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-", connectionstyle=bow, **style))


def _write_word(ax: Axes, x: float, token: Token, incoming: list[tuple[str, float]]) -> None:
    """Write a word, followed by its relations to its heads and their weights."""
    word = ax.text(
        x,
        token.index,
        label(token.text),
        va="center",
        fontfamily=label_fonts(),
        parse_math=False,
        zorder=3,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )
    notes = [
        f"{name_label(relation, 28)} {f'{weight:.2f}' if np.isfinite(weight) else '(not measured)'}"
        for relation, weight in incoming
    ]
    ax.annotate(
        ", ".join(notes) or "root",
        (1.0, 0.5),
        (4, 0),
        xycoords=word,
        textcoords="offset points",
        va="center",
        fontsize="small",
        color="0.35",
        fontfamily=label_fonts(),
        parse_math=False,
        zorder=3,
    )
