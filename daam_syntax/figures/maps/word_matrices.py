"""The overlap of every word with every other one, noun phrase by noun phrase."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from daam_syntax.figures.arguments import expect
from daam_syntax.figures.labels import label, label_fonts
from daam_syntax.figures.maps.overlays import CMAP
from daam_syntax.figures.styles import PALETTE, new_axes, points
from daam_syntax.figures.tables.table_columns import measure_label
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, Threshold, bicubic, parse_threshold
from daam_syntax.maps.measures import (
    PAIR_MEASURES,
    Measure,
    PackedMasks,
    choose,
    measure_maps,
    measure_masks,
)

_DIVERGING: Final = "vlag"  # for measures that may be below 0
_SLANTED: Final = 12  # words that fit beside each other slantwise; more stand upright


def word_matrix(
    maps: HeatMaps,
    *,
    measure: str = "iou",
    threshold: str | Threshold = "relative:0.4",
    scheme: str | None = "ud",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the attention overlap of all pairs of words as a matrix in the order of the sentence.

    Noun phrases are framed on the empty diagonal, and a dot stands where the row's word is the head of the column's.
    Words without a map, and those with an empty mask, keep their row and column in grey.

    Parameters
    ----------
    maps
        The heat maps of one image.
    measure
        One of `daam_syntax.maps.measures.PAIR_MEASURES`; the row's word counts as head, the column's as dependent.
    threshold
        Rule that makes the masks.
    scheme
        Whose edges get dots; None for no dots.
    vmax
        Top of the colour scale, whose bottom is 0, or as far below 0 for measures that can be negative; the largest
        value off the diagonal if None. Give the same value to several matrices to make them comparable.
    colorbar
        Whether to add a colour bar, which takes its room from the axes.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.images[0]`` carries the colour scale.

    Raises
    ------
    ValueError
        If there is no such measure or scheme.
    """
    expect(maps, HeatMaps)
    (chosen,) = choose(measure, PAIR_MEASURES)
    values = _measure_all(maps, chosen, parse_threshold(threshold))
    n = len(values)
    if ax is None:
        side = max(3.3, 1.2 + 0.022 * points("small") * n)
        ax = new_axes(0.85 * side, side)
    signed = chosen.low < 0
    cmap = sns.color_palette(_DIVERGING if signed else f"{CMAP}_r", as_cmap=True)
    others = values[~np.eye(n, dtype=bool)]
    if vmax is None:
        vmax = float(np.nanmax(np.abs(others))) if np.isfinite(others).any() else 1.0
    vmax = vmax or 1.0
    image = ax.imshow(
        np.ma.masked_invalid(values),
        cmap=cmap.with_extremes(bad="0.85"),
        vmin=-vmax if signed else 0,
        vmax=vmax,
    )
    for i in range(n):  # a word with itself: nothing to see
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="white", lw=0))
    _name_words(ax, maps)
    _frame_phrases(ax, maps.sentence)
    if scheme is not None:
        _mark_edges(ax, maps.sentence, scheme, np.asarray(image.cmap(image.norm(values))))
    if colorbar:
        figure = ax.get_figure(root=True)
        assert figure is not None
        bar = figure.colorbar(image, ax=ax, shrink=0.85, pad=0.03)
        note = "" if chosen.kind == "soft" else f"\nmasks: {threshold}"
        bar.set_label(f"{measure_label(measure)}{note}", fontsize="small")
        bar.ax.tick_params(labelsize="small")
    return ax


def _measure_all(maps: HeatMaps, measure: Measure, rule: Threshold) -> np.ndarray:
    """Return the measure of each word (row, as head) with each (column, as dependent), shape (word, word)."""
    words = bicubic(maps.stack(), maps.image_size)
    head, dependent = np.indices((len(words), len(words))).reshape(2, -1)
    if measure.kind == "soft":
        found = measure_maps(words, head, dependent, [measure])[measure.name]
    else:
        masks = PackedMasks(rule.apply(words))
        found = measure_masks(masks, head, dependent, [measure])[measure.name]
    values = np.full((len(maps), len(maps)), np.nan)
    if maps.mapped:
        values[np.ix_(maps.mapped, maps.mapped)] = found.reshape(len(words), len(words))
    return values


def _name_words(ax: Axes, maps: HeatMaps) -> None:
    """Name rows and columns; those of words without a map in grey, with the status at the row."""
    names = [label(token.text) for token in maps.sentence.tokens]
    places = range(len(names))
    style: dict[str, Any] = {"fontsize": "small", "parse_math": False, "rotation": 90}
    if len(names) <= _SLANTED:
        style |= {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(places, names, fontfamily=label_fonts(), **style)
    statuses = ["" if w.status == "mapped" else f" ({w.status})" for w in maps.words]
    rows = [name + status for name, status in zip(names, statuses, strict=True)]
    ax.set_yticks(places, rows, fontsize="small", parse_math=False, fontfamily=label_fonts())
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for text, status in zip(labels, statuses, strict=True):
            text.set_color("0.45" if status else "black")
    ax.tick_params(length=2)


def _frame_phrases(ax: Axes, sentence: Sentence) -> None:
    for span in sentence.noun_phrases:
        size = span.end - span.start
        corner = (span.start - 0.5, span.start - 0.5)
        ax.add_patch(Rectangle(corner, size, size, fill=False, ec=PALETTE[2], lw=1.6))


def _mark_edges(ax: Axes, sentence: Sentence, scheme: str, colours: np.ndarray) -> None:
    """Put a dot on each head (row) and dependent (column), black on light cells and white on dark ones."""
    edges = sentence.edges_of(scheme)
    rows, columns = [e.head for e in edges], [e.dependent for e in edges]
    lightness = colours[rows, columns, :3] @ np.array([0.299, 0.587, 0.114])
    ax.scatter(columns, rows, s=7, c=np.where(lightness > 0.5, "black", "white"), lw=0)
