"""A whole prompt on one page: picture, dependency arcs, and one overlay per word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from daam_syntax.figures.arguments import expect
from daam_syntax.figures.labels import label, label_fonts
from daam_syntax.figures.maps.overlays import draw_status, overlay
from daam_syntax.figures.trees.arcs import dependency_arcs
from daam_syntax.maps import HeatMaps

if TYPE_CHECKING:
    from PIL.Image import Image

_PER_ROW: Final = 14  # words beside each other before the overlays wrap
_CELL: Final = 1.05  # inches


def overview(
    image: Image | np.ndarray, maps: HeatMaps, *, scheme: str = "ud", vmax: float | None = None
) -> Figure:
    """Draw the picture, the tree of its prompt, and every word's map in sentence order.

    All overlays share one colour scale. A word without a map is there, with its status.

    Parameters
    ----------
    image
        The picture: a PIL image or an array, shape (y, x, 3).
    maps
        Its heat maps.
    scheme
        Whose edges to draw as arcs.
    vmax
        Mean attention probability at the top of the colour scale; the largest of any word if None.

    Returns
    -------
    matplotlib.figure.Figure
        A figure outside pyplot's list: save it with ``figure.savefig(path)``.
    """
    expect(maps, HeatMaps)
    sentence = maps.sentence
    n = len(sentence)
    columns = min(max(n, 4), _PER_ROW)
    rows = math.ceil(n / columns)
    height, width = maps.image_size
    cell_height = _CELL * min(2.0, max(0.5, height / width)) + 0.28
    arcs_height = 2.1 if rows == 1 else 2.6  # inches; with words below the arcs where rows wrap
    picture_columns = 3
    figure = plt.Figure(
        figsize=(
            (columns + picture_columns + 0.9) * _CELL,
            arcs_height + rows * cell_height + 0.25,
        ),
        layout="constrained",
    )
    grid = figure.add_gridspec(
        rows + 1,
        picture_columns + columns + 1,  # the last one for the colour bar
        height_ratios=[arcs_height, *[cell_height] * rows],
        width_ratios=[*[1.0] * (picture_columns + columns), 0.12],
        wspace=0.02,
        hspace=0.02,
    )
    picture_axes = figure.add_subplot(grid[:, :picture_columns])
    picture_axes.imshow(np.asarray(image))
    picture_axes.set_axis_off()
    arcs_axes = figure.add_subplot(grid[0, picture_columns:-1])
    # Words stand over their overlays where all of them fit in one row, else under the arcs.
    dependency_arcs(sentence, scheme=scheme, ax=arcs_axes, show_words=rows > 1)
    arcs_axes.set_xlim(-0.5, max(n, columns) - 0.5)

    mapped = [w.index for w in maps.words if w.status == "mapped"]
    if vmax is None:
        vmax = max((float(maps[i].resize().max()) for i in mapped), default=1.0)
    scale: ScalarMappable | None = None
    for word in maps.words:
        row, column = divmod(word.index, columns)
        ax = figure.add_subplot(grid[row + 1, picture_columns + column])
        title = label(sentence[word.index].text)
        if word.status == "mapped":
            overlay(image, maps[word.index], ax=ax, vmax=vmax, title="")
            scale = ax.images[-1]
        else:
            draw_status(ax, word.status, maps.image_size)
        ax.set_title(title, fontsize=9, pad=3, fontfamily=label_fonts(), parse_math=False)
    if scale is not None:
        bar = figure.colorbar(
            ScalarMappable(norm=scale.norm, cmap=scale.cmap), cax=figure.add_subplot(grid[:, -1])
        )
        bar.set_label("mean attention probability", fontsize=7)
        bar.ax.tick_params(labelsize=7)
    return figure
