"""A prompt on one page: its image, its dependency arcs, and an overlay for each word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from daam_syntax.figures.maps.overlays import SCALE_LABEL, draw_word, largest_value
from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.styles import add_color_bar, color_map
from daam_syntax.figures.shared.word_labels import label, label_fonts
from daam_syntax.figures.trees.arcs import dependency_arcs
from daam_syntax.maps import HeatMaps
from daam_syntax.util.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_PER_ROW: Final = 14  # words next to each other before the overlays wrap
_CELL: Final = 1.05  # inches


def overview(
    image: Image | np.ndarray, maps: HeatMaps, *, scheme: str = "ud", vmax: float | None = None
) -> Figure:
    """Draw an image, the tree of its prompt, and the map of every word in sentence order.

    All overlays share one color scale. A word without a map appears with its status.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the image.
    scheme
        Dependency scheme of the edges drawn as arcs.
    vmax
        Mean attention probability at the top of the color scale; the largest value of any word if None.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that pyplot does not manage: save it with ``figure.savefig(path)``.
    """
    expect(maps, HeatMaps)
    sentence = maps.sentence
    n = len(sentence)
    columns = min(max(n, 4), _PER_ROW)
    rows = math.ceil(n / columns)
    height, width = maps.image_size
    cell_height = _CELL * min(2.0, max(0.5, height / width)) + 0.28
    arcs_height = 2.1 if rows == 1 else 2.6  # inches; if rows wrap, the words are below the arcs
    image_columns = 3
    figure = plt.Figure(
        figsize=(
            (columns + image_columns + 0.9) * _CELL,
            arcs_height + rows * cell_height + 0.25,
        ),
        layout="constrained",
    )
    grid = figure.add_gridspec(
        rows + 1,
        image_columns + columns + 1,  # the last one is for the color bar
        height_ratios=[arcs_height, *[cell_height] * rows],
        width_ratios=[*[1.0] * (image_columns + columns), 0.12],
        wspace=0.02,
        hspace=0.02,
    )
    image_axes = figure.add_subplot(grid[:, :image_columns])
    image_axes.imshow(np.asarray(as_rgb(image)))
    image_axes.set_axis_off()
    arcs_axes = figure.add_subplot(grid[0, image_columns:-1])
    # If all words fit in one row, they are written above their overlays, otherwise below the arcs.
    dependency_arcs(sentence, scheme=scheme, ax=arcs_axes, show_words=rows > 1)
    arcs_axes.set_xlim(-0.5, max(n, columns) - 0.5)
    if vmax is None:
        vmax = largest_value([maps])
    for word in maps.words:
        row, column = divmod(word.index, columns)
        ax = figure.add_subplot(grid[row + 1, image_columns + column])
        title = label(sentence[word.index].text)
        draw_word(image, maps, word.index, ax=ax, vmax=vmax)
        ax.set_title(title, fontsize=9, pad=3, fontfamily=label_fonts(), parse_math=False)
    if maps.mapped:
        scale = ScalarMappable(Normalize(0.0, vmax or 1.0), color_map())
        add_color_bar(scale, SCALE_LABEL, fontsize=7, cax=figure.add_subplot(grid[:, -1]))
    return figure
