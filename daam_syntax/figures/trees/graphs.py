"""The dependency tree as an outline, its edges as strong as their words overlap."""

from __future__ import annotations

from typing import Any, Final

import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import FancyArrowPatch

from daam_syntax.figures.arguments import expect
from daam_syntax.figures.labels import label, label_fonts
from daam_syntax.figures.maps.overlays import CMAP
from daam_syntax.figures.styles import new_axes, points
from daam_syntax.figures.tables.table_columns import measure_label, require, require_one
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.util.wording import plural

_WHAT: Final = "a pair table (see `measure_pairs`)"
_THINNEST, _THICKEST = 0.8, 3.5  # points
_LEAST: Final = 2.2  # inches: the label of the colour bar has room
_LEVELS: Final = 4
"""Of a flat tree too, so that its edges leave a word below the word, not beside it."""


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
    """Draw the tree from left to right, one word a line; edges are wide and dark where the overlap is large.

    After each word stand its relation and the mean over the images. An edge that no image could measure is dotted
    grey. Where a word has several heads (enhanced dependencies), those that are not one step nearer to the root are
    joined to it by curves.

    Parameters
    ----------
    sentence
        The parsed prompt.
    pairs
        Pairs of one or several images of that prompt, of one threshold, see `measure_pairs`.
    measure
        Column of the table: the weight of the edges.
    scheme
        Whose edges to draw.
    vmax
        Top of the scale of widths and colours; the largest mean if None.
    colorbar
        Whether to add a colour bar, which takes its room from the axes.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes: words at (tree depth, index), downwards.

    Raises
    ------
    ValueError
        If columns are missing, thresholds are mixed, or the pairs are of another prompt or lack an edge.
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
    cmap = sns.color_palette(f"{CMAP}_r", as_cmap=True)
    scale = ScalarMappable(
        norm, sns.blend_palette([cmap(0.2), cmap(0.55), cmap(0.95)], as_cmap=True)
    )
    for edge, weight in weights.items():
        _draw_edge(ax, edge, weight, depth, scale)
    for token in sentence.tokens:
        incoming = [(e.relation, w) for e, w in weights.items() if e.dependent == token.index]
        _write_word(ax, depth[token.index], token, incoming)
    ax.set_xlim(-0.1, max(deepest, _LEVELS) + 0.5)
    ax.set_ylim(len(sentence) - 0.4, -0.6)
    ax.set_axis_off()
    if colorbar:
        figure = ax.get_figure(root=True)
        assert figure is not None
        bar = figure.colorbar(scale, ax=ax, shrink=0.8, pad=0.02, aspect=30)
        bar.set_label(
            f"{measure_label(measure)}\nmean of {plural(n_images, 'image')}", fontsize="small"
        )
        bar.ax.tick_params(labelsize="small")
    return ax


def _weights(
    sentence: Sentence, pairs: pd.DataFrame, measure: str, scheme: str
) -> tuple[dict[Edge, float], int]:
    """Return the mean of the measure of each edge, and the number of images."""
    columns = ["prompt", "image", "kind", "scheme", "relation", "head_index", "dependent_index"]
    require(pairs, [*columns, measure], _WHAT)
    others = set(pairs["prompt"]) - {sentence.text}
    if others:
        raise ValueError(
            f"Expected pairs of {sentence.text!r} only, but got some of {sorted(others)[0]!r}; "
            'choose them with pairs[pairs["prompt"] == sentence.text].'
        )
    rows = pairs[(pairs["kind"] == "dependency") & (pairs["scheme"] == scheme)]
    require_one(rows, ["threshold"], _WHAT)
    means = rows.groupby(["head_index", "dependent_index", "relation"])[measure].mean()
    edges = sentence.edges_of(scheme)
    missing = [e for e in edges if (e.head, e.dependent, e.relation) not in means.index]
    if missing:
        raise ValueError(
            f"Expected pairs with every {scheme} edge of the sentence, but {missing[0]} is not there."
        )
    weights = {e: float(means[e.head, e.dependent, e.relation]) for e in edges}
    return weights, pairs["image"].nunique()


def _depths(sentence: Sentence, scheme: str) -> dict[int, int]:
    """Return the number of edges from the nearest root to each word; 0 for words that no root reaches."""
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
        colour = scale.cmap(share)
        style = {"color": colour, "lw": width, "ls": "-", "zorder": 1 + share}
    start, end = depth[edge.head], depth[edge.dependent]
    if end == start + 1:
        # Down (or up) from the head, then right: what lies between hangs on the head, and so is farther right.
        x = start + 0.12
        ys = [edge.head, edge.dependent, edge.dependent]
        ax.plot([x, x, end], ys, solid_joinstyle="round", **style)
    else:
        ends = (start, edge.head), (end, edge.dependent)
        bow = "arc3,rad=0.3"
        ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-", connectionstyle=bow, **style))


def _write_word(ax: Axes, x: float, token: Token, incoming: list[tuple[str, float]]) -> None:
    """Write a word, and after it the relations to its heads with their weights."""
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
        f"{relation} {weight:.2f}" if np.isfinite(weight) else f"{relation} (not measured)"
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
        parse_math=False,
        zorder=3,
    )
