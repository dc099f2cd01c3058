"""A dependency tree above the heat maps of its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from daam_syntax.figures.maps.overlays import draw_word, largest_value, scale_label
from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.colors import overlay_colors, root_norm
from daam_syntax.figures.shared.styles import add_color_bar, figure_of, new_axes
from daam_syntax.figures.trees.arcs import arcs_height, dependency_arcs
from daam_syntax.maps import HeatMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL: Final = 0.62  # least inches per word
_LETTER: Final = 0.06  # inches: labels of neighboring arcs fit side by side
_WIDEST: Final = 24.0
_LARGEST: Final = 1.2  # inches: the width of a map


@checked(vmax=POSITIVE, image=OWN, maps=OWN)
def arcs_with_overlays(
    image: Image | np.ndarray,
    maps: HeatMaps,
    *,
    scheme: str = "ud",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw an arc from each head to its dependents, with the map of each word below it.

    All maps share one square-root color scale. A word without a map appears with its status. New axes are as wide as
    the words need; a column of a paper has room for about five words.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the image.
    scheme
        Dependency scheme of the edges.
    vmax
        Mean attention probability at the top of the color scale; the largest value of any word if None.
    colorbar
        Whether to add a color bar, which takes up part of the axes.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. ``ax.child_axes`` holds the axes of the maps, in the order of the words.
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
        vmax = largest_value([maps])
    if colorbar:
        scale = ScalarMappable(root_norm(vmax), overlay_colors())
        text = scale_label(maps.kind, is_root=True).replace(" (", "\n(")
        add_color_bar(scale, text, ax=ax, pad=0.01, aspect=30)
    height = _make_room(ax, aspect)
    bottom = ax.get_ylim()[0]
    for word in maps.words:
        cell = ax.inset_axes((word.index - 0.46, bottom, 0.92, height), transform=ax.transData)
        cell.set_anchor("N")
        draw_word(image, maps, word.index, ax=cell, top=vmax)
    return ax


def _make_room(ax: Axes, aspect: float) -> float:
    """Lower the y limit to make room for maps below the words, and return the height of a map in data units.

    Parameters
    ----------
    ax
        Axes with the arcs and the words.
    aspect
        Height of a map over its width.
    """
    figure = figure_of(ax)
    figure.draw_without_rendering()  # applies the layout
    box = ax.get_window_extent()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    pixels = min(0.92 * box.width / (right - left), _LARGEST * figure.dpi) * aspect
    pixels = min(pixels, 0.6 * box.height)
    height = pixels * (top - bottom) / (box.height - pixels)
    ax.set_ylim(bottom - height, top)
    return height
