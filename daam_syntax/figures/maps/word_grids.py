"""The maps of all words of one or more images next to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from daam_syntax.figures.maps.overlays import (
    draw_word,
    largest_value,
    scale_label,
)
from daam_syntax.figures.shared.arguments import check_scale, paired
from daam_syntax.figures.shared.colors import overlay_colors, root_norm
from daam_syntax.figures.shared.composites import new_figure
from daam_syntax.figures.shared.styles import add_color_bar, points, wrapped
from daam_syntax.figures.shared.word_labels import label_fonts, label_lines
from daam_syntax.maps import HeatMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked, within
from daam_syntax.util.images.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL: Final = 0.62  # inches: the narrowest cell that shows a map
_WIDEST: Final = 1.3
_BAR: Final = 0.75  # inches for the color bar and its labels
_TALLEST_BAR: Final = 3.0  # inches
_LOW: Final = 2.0  # inches: in a figure lower than this, the label of the color bar has short lines
_LEAST: Final = 1.25  # inches: room for these lines


@checked(vmax=POSITIVE, width=within(0.5, 100), images=OWN, maps=OWN)
def word_grid(
    images: Image | np.ndarray | Sequence[Image | np.ndarray],
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scale: Literal["shared", "own"] = "shared",
    vmax: float | None = None,
    width: float = 6.6,
) -> Figure:
    """Draw each image followed by the maps of all its words, by default on one color scale.

    A word without a map appears with its status.

    Parameters
    ----------
    images
        One image or several: PIL images or arrays. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the images, in the same order.
    scale
        "shared": one square-root color scale for all maps of all images, which makes colors comparable. "own": each
        map from 0 to its own maximum, which is written below its word.
    vmax
        Mean attention probability at the top of the shared scale; the largest value of any word if None.
    width
        Largest width of the figure in inches; a column of a paper has about 3.3.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that a notebook displays once; save it with ``figure.savefig(path)``.

    Raises
    ------
    ValueError
        If the numbers of images and maps differ or are 0, there is no such scale, or `vmax` is given with scales of
        their own.
    """
    all_images, all_maps = paired(images, maps)
    check_scale(scale, vmax)
    shared = scale == "shared"
    if shared and vmax is None:
        vmax = largest_value(all_maps)
    room = width - _BAR
    columns = max(2, min(max(len(m) for m in all_maps) + 1, int(room / _CELL)))
    cell = min(_WIDEST, room / columns)
    letters = int(72 * cell / (0.62 * points("small")))  # that fit above a cell
    blocks = [_titles(m, number, letters, shared) for number, m in enumerate(all_maps)]
    heights = [
        height
        for m, block in zip(all_maps, blocks, strict=True)
        for height in _heights(m, block, columns, cell)
    ]
    tall = sum(heights)
    figure = new_figure(columns * cell + _BAR, max(tall, _LEAST), layout="constrained")
    grid = figure.add_gridspec(
        len(heights), columns, height_ratios=heights, wspace=0.02, hspace=0.0
    )
    first = 0
    for image, m, block in zip(all_images, all_maps, blocks, strict=True):
        for number, title in enumerate(block):
            row, column = divmod(number, columns)
            ax = figure.add_subplot(grid[first + row, column])
            _draw_cell(ax, image, m, number - 1, vmax)
            ax.set_title(title, fontsize="small", pad=2, fontfamily=label_fonts(), parse_math=False)
        first += math.ceil(len(block) / columns)
    shrink = min(1.0, _TALLEST_BAR / tall)
    text = scale_label(all_maps[0].kind, is_root=shared)
    text += "" if shared else ", each map to its own maximum"
    bar = add_color_bar(
        ScalarMappable(Normalize(0.0, 1.0) if vmax is None else root_norm(vmax), overlay_colors()),
        wrapped(text, 20 if tall < _LOW else 40),
        ax=figure.axes,
        shrink=shrink,
        aspect=14 * tall * shrink,
        anchor=(0, 1),
        pad=0.01,
    )
    if not shared:
        bar.set_ticks([0, 1], labels=["0", "max"])
    return figure


def _titles(maps: HeatMaps, number: int, letters: int, shared: bool) -> list[str]:
    """Return the titles of the image and of each of its words; long words are broken into lines."""
    seed = maps.provenance.get("seed")
    titles = [f"image {number}" if seed is None else f"seed {seed}"]
    for word in maps.words:
        lines = label_lines(maps.sentence[word.index].text, letters)
        if not shared and word.status == "mapped":
            lines.append(f"max {maps[word.index].resize().max():#.2g}")
        titles.append("\n".join(lines))
    return titles


def _heights(maps: HeatMaps, titles: list[str], columns: int, cell: float) -> list[float]:
    """Return the heights of the rows of an image in inches."""
    rows = [titles[start : start + columns] for start in range(0, len(titles), columns)]
    height, width = maps.image_size
    height_of_map = cell * min(2.0, max(0.5, height / width))
    lines = [max(title.count("\n") + 1 for title in row) for row in rows]
    return [height_of_map + (1.3 * n + 0.6) * points("small") / 72 for n in lines]


def _draw_cell(
    ax: Axes, image: Image | np.ndarray, maps: HeatMaps, word: int, vmax: float | None
) -> None:
    """Draw a word, or the image itself for word -1."""
    if word < 0:
        ax.imshow(np.asarray(as_rgb(image)))
        ax.set_axis_off()
    else:
        draw_word(image, maps, word, ax=ax, top=vmax)
