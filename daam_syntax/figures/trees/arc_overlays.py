"""The dependency tree over the heat maps of its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import seaborn as sns
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from daam_syntax.figures.arguments import expect
from daam_syntax.figures.maps.overlays import CMAP, draw_status, overlay
from daam_syntax.figures.styles import new_axes
from daam_syntax.figures.trees.arcs import arcs_height, dependency_arcs
from daam_syntax.maps import HeatMaps

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL: Final = 0.62  # inches per word, at least
_LETTER: Final = 0.06  # inches: labels of neighbouring arcs stand side by side
_WIDEST: Final = 24.0
_LARGEST: Final = 1.2  # inches: the width of a map


def arcs_with_overlays(
    image: Image | np.ndarray,
    maps: HeatMaps,
    *,
    scheme: str = "ud",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one arc from each head to its dependents, and below each word its map.

    All maps share one colour scale. A word without a map is there, with its status. New axes are as wide as the words
    need; in a column of a paper about five fit.

    Parameters
    ----------
    image
        The picture: a PIL image or an array, shape (y, x, 3).
    maps
        Its heat maps.
    scheme
        Whose edges to draw.
    vmax
        Mean attention probability at the top of the colour scale; the largest of any word if None.
    colorbar
        Whether to add a colour bar, which takes its room from the axes.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; each map is on axes of its own in ``ax.child_axes``, in the order of the words.
    """
    expect(maps, HeatMaps)
    n = len(maps)
    aspect = min(2.0, max(0.5, maps.image_size[0] / maps.image_size[1]))
    if ax is None:
        longest = max((len(e.relation) for e in maps.sentence.edges_of(scheme)), default=0)
        per_word = max(_CELL, _LETTER * longest)
        width = min(_WIDEST, max(rcParams["figure.figsize"][0], per_word * n))
        map_height = aspect * min(_LARGEST, width / max(n, 1))
        ax = new_axes(arcs_height(maps.sentence, scheme) + map_height, width)
    dependency_arcs(maps.sentence, scheme=scheme, ax=ax)
    if vmax is None:
        vmax = max((float(maps[i].resize().max()) for i in maps.mapped), default=1.0)
    if colorbar:
        _add_colorbar(ax, vmax)
    height = _make_room(ax, aspect)
    bottom = ax.get_ylim()[0]
    for word in maps.words:
        cell = ax.inset_axes((word.index - 0.46, bottom, 0.92, height), transform=ax.transData)
        cell.set_anchor("N")
        if word.status == "mapped":
            overlay(image, maps[word.index], ax=cell, vmax=vmax, title="")
        else:
            draw_status(cell, word.status, maps.image_size)
    return ax


def _make_room(ax: Axes, aspect: float) -> float:
    """Lower the limit of the y axis so that cells of this shape fit below the words; return their height."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays the axes out
    box = ax.get_window_extent()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    pixels = min(0.92 * box.width / (right - left), _LARGEST * figure.dpi) * aspect
    pixels = min(pixels, 0.6 * box.height)
    height = pixels * (top - bottom) / (box.height - pixels)
    ax.set_ylim(bottom - height, top)
    return height


def _add_colorbar(ax: Axes, vmax: float) -> None:
    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = ScalarMappable(Normalize(0.0, vmax or 1.0), sns.color_palette(CMAP, as_cmap=True))
    bar = figure.colorbar(scale, ax=ax, pad=0.01, aspect=30)
    bar.set_label("mean attention probability", fontsize="small")
    bar.ax.tick_params(labelsize="small")
