"""The maps of all words, of one image or of several, beside each other."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from daam_syntax.figures.arguments import paired
from daam_syntax.figures.labels import label, label_fonts
from daam_syntax.figures.maps.overlays import CMAP, draw_status, overlay
from daam_syntax.figures.styles import points
from daam_syntax.maps import HeatMaps

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL: Final = 0.62  # inches: the narrowest cell that shows a map
_WIDEST: Final = 1.3
_BAR: Final = 0.75  # inches for the colour bar and its labels
_TALLEST_BAR: Final = 3.0  # inches
_LOW: Final = 2.0  # inches: the label of the colour bar needs two lines
_LEAST: Final = 1.1  # inches: and these have room
_HEADING: Final = 0.35  # inches for the words that say that scales differ


def word_grid(
    images: Image | np.ndarray | Sequence[Image | np.ndarray],
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scale: Literal["shared", "own"] = "shared",
    vmax: float | None = None,
    width: float = 6.6,
) -> Figure:
    """Draw each picture followed by the maps of all its words, all of them on one colour scale.

    A word without a map is there, with its status.

    Parameters
    ----------
    images
        One picture, or several: PIL images or arrays of shape (y, x, 3).
    maps
        Their heat maps, in the same order.
    scale
        "shared": one colour scale for all maps of all images, so that colours may be compared; "own": each map from
        0 to its own maximum, which stands below its word.
    vmax
        Mean attention probability at the top of a shared scale; the largest of any word if None.
    width
        Largest width of the figure, inches; a column of a paper has about 3.3.

    Returns
    -------
    matplotlib.figure.Figure
        A figure outside pyplot's list: save it with ``figure.savefig(path)``.

    Raises
    ------
    ValueError
        If there are not as many pictures as maps, none at all, or the scale is none of the two.
    """
    pictures, all_maps = paired(images, maps)
    if scale not in ("shared", "own") or (scale == "own" and vmax is not None):
        raise ValueError(
            f'Expected the scale "shared", or "own" without a vmax, but got {scale!r}, {vmax!r}.'
        )
    shared = scale == "shared"
    if shared and vmax is None:
        vmax = max((float(m[i].resize().max()) for m in all_maps for i in m.mapped), default=1.0)
    room = width - _BAR * shared
    columns = max(2, min(max(len(m) for m in all_maps) + 1, int(room / _CELL)))
    cell = min(_WIDEST, room / columns)
    letters = int(72 * cell / (0.62 * points("small")))  # that fit over a cell
    blocks = [_titles(m, number, letters, shared) for number, m in enumerate(all_maps)]
    heights = [
        height
        for m, block in zip(all_maps, blocks, strict=True)
        for height in _heights(m, block, columns, cell)
    ]
    tall = sum(heights)
    size = (columns * cell + _BAR * shared, max(tall, _LEAST) + _HEADING * (not shared))
    figure = plt.Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(
        len(heights), columns, height_ratios=heights, wspace=0.02, hspace=0.0
    )
    first = 0
    for picture, m, block in zip(pictures, all_maps, blocks, strict=True):
        for number, title in enumerate(block):
            row, column = divmod(number, columns)
            ax = figure.add_subplot(grid[first + row, column])
            _draw_cell(ax, picture, m, number - 1, vmax)
            ax.set_title(title, fontsize="small", pad=2, fontfamily=label_fonts(), parse_math=False)
        first += math.ceil(len(block) / columns)
    if vmax is None:
        figure.suptitle(
            "Each map on a scale of its own, from 0 to the largest\nmean attention probability (below its word)",
            fontsize="small",
        )
    else:
        scales = ScalarMappable(Normalize(0.0, vmax or 1.0), sns.color_palette(CMAP, as_cmap=True))
        shrink = min(1.0, _TALLEST_BAR / tall)
        bar = figure.colorbar(
            scales,
            ax=figure.axes,
            shrink=shrink,
            aspect=14 * tall * shrink,
            anchor=(0, 1),
            pad=0.01,
        )
        gap = "\n" if tall < _LOW else " "
        bar.set_label(f"mean attention{gap}probability", fontsize="small")
        bar.ax.tick_params(labelsize="small")
    return figure


def _titles(maps: HeatMaps, number: int, letters: int, shared: bool) -> list[str]:
    """Return what stands over the picture and over each of its words; long words take several lines."""
    seed = maps.provenance.get("seed")
    titles = [f"image {number}" if seed is None else f"seed {seed}"]
    for word in maps.words:
        lines = textwrap.wrap(label(maps.sentence[word.index].text), letters)
        if not shared and word.status == "mapped":
            lines.append(f"≤ {maps[word.index].resize().max():.2g}")
        titles.append("\n".join(lines))
    return titles


def _heights(maps: HeatMaps, titles: list[str], columns: int, cell: float) -> list[float]:
    """Return the heights of the rows of an image, inches."""
    rows = [titles[start : start + columns] for start in range(0, len(titles), columns)]
    height, width = maps.image_size
    picture = cell * min(2.0, max(0.5, height / width))
    lines = [max(title.count("\n") + 1 for title in row) for row in rows]
    return [picture + (1.3 * n + 0.6) * points("small") / 72 for n in lines]


def _draw_cell(
    ax: Axes, picture: Image | np.ndarray, maps: HeatMaps, word: int, vmax: float | None
) -> None:
    """Draw the map of a word, its status if it has none, or the picture itself for word -1."""
    if word < 0:
        ax.imshow(np.asarray(picture))
        ax.set_axis_off()
    elif maps.words[word].status == "mapped":
        overlay(picture, maps[word], ax=ax, vmax=vmax, title="")
    else:
        draw_status(ax, maps.words[word].status, maps.image_size)
