"""The overlap of every pair of words as a matrix."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.colors import DIVERGING, color_map
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import add_color_bar, new_axes, points, wrapped
from daam_syntax.figures.shared.word_labels import label, label_fonts
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
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked

_FRAME: Final = "0.15"
_SLANTED: Final = 12  # most words whose slanted labels fit next to each other; more are vertical
_LETTERS: Final = 14  # of a row's label


@checked(vmax=POSITIVE, maps=OWN)
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
    """Draw the attention overlap of all pairs of words as a matrix in sentence order.

    Noun phrases are framed along the empty diagonal. A dot marks cells where the row's word is the head of the column's
    word. Words without a map or with an empty mask keep their row and column, in gray.

    Parameters
    ----------
    maps
        The heat maps of one image.
    measure
        One of `daam_syntax.maps.measures.PAIR_MEASURES`, with the row's word as head and the column's as dependent.
    threshold
        Threshold rule of the masks.
    scheme
        Dependency scheme whose edges get dots; no dots if None.
    vmax
        Top of the color scale; the largest absolute value off the diagonal if None. The scale starts at 0, or at
        ``-vmax`` for measures that can be negative. Pass the same value to several matrices to make them comparable.
    colorbar
        Whether to add a color bar, which takes up part of the axes.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. ``ax.images[0]`` has the color scale.

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
    cmap = color_map(DIVERGING if signed else None)
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
    for i in range(n):  # a word with itself
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="white", lw=0))
    _name_words(ax, maps)
    _frame_phrases(ax, maps.sentence)
    if scheme is not None:
        _mark_edges(ax, maps.sentence, scheme, np.asarray(image.cmap(image.norm(values))))
    dots = "" if scheme is None else f";\ndots: {scheme} dependencies"
    ax.set_xlabel(f"dependent\n(frames: noun phrases{dots})", fontsize="small")
    ax.set_ylabel("head", fontsize="small")
    if colorbar:
        note = "" if chosen.kind == "soft" else f"\nmasks: {threshold}"
        add_color_bar(
            image,
            f"{wrapped(measure_label(measure), 22)}{note}",
            ax=ax,
            shrink=0.85,
            pad=0.03,
        )
    return ax


def _measure_all(maps: HeatMaps, measure: Measure, rule: Threshold) -> np.ndarray:
    """Return the measure of each pair of words. *Shape:* ``(head, dependent)``."""
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
    """Label rows and columns; words without a map are gray, with their status at the row."""
    names = [label(token.text, _LETTERS) for token in maps.sentence.tokens]
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
        ax.add_patch(Rectangle(corner, size, size, fill=False, ec=_FRAME, lw=1.3))


def _mark_edges(ax: Axes, sentence: Sentence, scheme: str, colors: np.ndarray) -> None:
    """Put a dot on each cell of a head (row) and its dependent (column): black on light cells, white on dark ones."""
    edges = sentence.edges_of(scheme)
    rows, columns = [e.head for e in edges], [e.dependent for e in edges]
    lightness = colors[rows, columns, :3] @ np.array([0.299, 0.587, 0.114])
    ax.scatter(columns, rows, s=7, c=np.where(lightness > 0.5, "black", "white"), lw=0)
