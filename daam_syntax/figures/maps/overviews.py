"""A prompt on one page: its image, its dependency arcs, and an overlay for each word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daam_syntax.figures.maps.overlays import draw_word, largest_value, scale_label
from daam_syntax.figures.shared.arguments import check_scale, expect
from daam_syntax.figures.shared.colors import overlay_colors, root_norm
from daam_syntax.figures.shared.composites import new_figure
from daam_syntax.figures.shared.styles import figure_of
from daam_syntax.figures.shared.word_labels import label_fonts, label_lines
from daam_syntax.figures.trees.arc_heights import arc_levels
from daam_syntax.figures.trees.arcs import dependency_arcs
from daam_syntax.maps import HeatMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked
from daam_syntax.util.images.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_PER_ROW: Final = 12  # words next to each other before the overlays wrap
_LETTERS: Final = 10  # that fit above an overlay

# Inches. Places are computed instead of left to a layout engine, which takes a second for a figure of this kind.
_CELL: Final = 0.8
_MAP: Final = 0.75
_IMAGE: Final = 2.5
_MARGIN: Final = 0.08
_LINE: Final = 0.15
_POS: Final = 0.14
_BELOW: Final = 0.24  # a word's maximum and its bar
_SCALE: Final = 0.42  # the color bar and its labels
_LEVEL: Final = 0.27  # of arcs


@checked(vmax=POSITIVE, image=OWN, maps=OWN)
def overview(
    image: Image | np.ndarray,
    maps: HeatMaps,
    *,
    scheme: str = "ud",
    scale: Literal["own", "shared"] = "own",
    vmax: float | None = None,
) -> Figure:
    """Draw an image, the tree of its prompt, and the map of every word in sentence order.

    Each word stands above its part of speech and its map. Below the map are its maximum, and a bar with the length of
    that maximum relative to the largest of all words. A word without a map appears with its status.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the image.
    scheme
        Dependency scheme of the edges drawn as arcs.
    scale
        "own": each map from 0 to its own maximum, which shows where a word attends however little it attends.
        "shared": one square-root scale for all words, which makes colors comparable.
    vmax
        Mean attention probability at the top of the shared scale; the largest value of any word if None.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that a notebook displays once; save it with ``figure.savefig(path)``.

    Raises
    ------
    TypeError
        If `maps` are not the heat maps of one image.
    ValueError
        If there is no such scale, or `vmax` is given with scales of their own.
    """
    expect(maps, HeatMaps)
    check_scale(scale, vmax)
    sentence = maps.sentence
    columns = min(max(len(sentence), 4), _PER_ROW)
    rows = math.ceil(len(sentence) / columns)
    titles = ["\n".join(label_lines(t.text, _LETTERS)) for t in sentence.tokens]
    lines = max((title.count("\n") + 1 for title in titles), default=1)
    height, width = maps.image_size
    map_height = _MAP * min(2.0, max(0.5, height / width))
    row_height = lines * _LINE + _POS + 0.04 + map_height + _BELOW
    levels = max(arc_levels(sentence.edges_of(scheme)).values(), default=1)
    arcs_height = _LEVEL * (levels + 1)
    if rows > 1:  # the words stand below the arcs, too
        arcs_height += 0.5 + 0.03 * max(map(len, titles))
    image_height = _IMAGE * min(1.5, max(0.5, height / width))
    low = _MARGIN + _SCALE * bool(maps.mapped)
    right_height = arcs_height + rows * row_height + 0.08 * (rows - 1)
    tall = low + max(right_height, image_height) + _MARGIN
    wide = _IMAGE + columns * _CELL + 4 * _MARGIN
    figure = new_figure(wide, tall)

    def axes(left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))

    image_axes = axes(_MARGIN, low + _BELOW * (rows == 1), _IMAGE, image_height)
    image_axes.imshow(np.asarray(as_rgb(image)))
    image_axes.set_axis_off()
    start = _IMAGE + 3 * _MARGIN
    bottom_of_arcs = low + rows * row_height + 0.08 * (rows - 1)
    arcs_axes = axes(start, bottom_of_arcs, columns * _CELL, arcs_height)
    dependency_arcs(sentence, scheme=scheme, ax=arcs_axes, show_words=rows > 1)
    arcs_axes.set_xlim(-0.5, max(len(sentence), columns) - 0.5)
    largest = largest_value([maps])
    top = None if scale == "own" else (largest if vmax is None else vmax)
    for word in maps.words:
        row, column = divmod(word.index, columns)
        left = start + column * _CELL + (_CELL - _MAP) / 2
        bottom = low + (rows - 1 - row) * (row_height + 0.08) + _BELOW
        ax = axes(left, bottom, _MAP, map_height)
        ax.set_anchor("S")
        draw_word(image, maps, word.index, ax=ax, top=top)
        pos = sentence[word.index].pos
        _write(ax, titles[word.index], 1.0, 4 + 72 * _POS, size=9, color="black", va="bottom")
        _write(ax, pos, 1.0, 3, size=6.5, color="0.45", va="bottom")
        if word.status == "mapped":
            _draw_maximum(ax, float(maps[word.index].resize().max()), largest)
    if maps.mapped:
        bar = axes(_MARGIN + 0.1, low - 0.19, 1.8, 0.09)
        _draw_scale(bar, top, maps.kind)
    return figure


def _write(ax: Axes, text: str, height: float, offset: float, **style: Any) -> None:
    """Write a text in the middle, `offset` points above a height of the axes (0 to 1)."""
    ax.annotate(
        text,
        (0.5, height),
        (0, offset),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        fontfamily=label_fonts(),
        parse_math=False,
        annotation_clip=False,
        **style,
    )


def _draw_maximum(ax: Axes, value: float, largest: float) -> None:
    """Write the maximum of a map below it, above a bar whose length is its share of the largest maximum."""
    _write(ax, f"max {value:#.2g}", 0.0, -2, size=6.5, color="0.25", va="top")
    place = -0.165 * _MAP / (ax.get_position().height * figure_of(ax).get_figheight())
    for length, color in ((1.0, "0.9"), (value / (largest or 1.0), "0.35")):
        line = Line2D(
            (0, length), (place, place), lw=2, color=color, clip_on=False, solid_capstyle="butt"
        )
        line.set(transform=ax.transAxes, in_layout=False)
        ax.add_artist(line)


def _draw_scale(ax: Axes, top: float | None, kind: str) -> None:
    norm = Normalize(0.0, 1.0) if top is None else root_norm(top)
    bar = figure_of(ax).colorbar(
        ScalarMappable(norm, overlay_colors()), cax=ax, orientation="horizontal"
    )
    bar.outline.set_linewidth(0.5)
    ax.tick_params(labelsize=6.5, length=2, pad=1.5)
    note = "square-root scale, the same for all words"
    if top is None:
        bar.set_ticks([0, 1], labels=["0", "max"])
        note = "each map from 0 to its own maximum"
    ax.annotate(
        f"{scale_label(kind)}: {note};\nlines below the maps compare their maxima",
        (1.0, 0.5),
        (16, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        va="center",
        fontsize=7,
        color="0.25",
        annotation_clip=False,
    )
