"""A dependency tree above the heat maps of its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from daam_syntax.figures.maps.overlays import draw_word, largest_value, scale_label
from daam_syntax.figures.shared.arguments import check_scale, expect
from daam_syntax.figures.shared.colors import overlay_colors, root_norm
from daam_syntax.figures.shared.styles import add_color_bar, figure_of, new_axes, wrapped
from daam_syntax.figures.trees.arcs import RELATION, arcs_height, dependency_arcs
from daam_syntax.maps import HeatMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL: Final = 0.62  # least inches per word
_LETTER: Final = 0.06  # inches: labels of neighboring arcs fit side by side
_WIDEST: Final = 24.0
_BELOW: Final = 11  # points for the maximum of a map
_LARGEST: Final = 1.2  # inches: the width of a map


@checked(vmax=POSITIVE, image=OWN, maps=OWN)
def arcs_with_overlays(
    image: Image | np.ndarray,
    maps: HeatMaps,
    *,
    scheme: str = "ud",
    scale: Literal["own", "shared"] = "own",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw an arc from each head to its dependents, with the map of each word below it.

    A word without a map appears with its status. New axes are as wide as the words need; a column of a paper has room
    for about five words.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the image.
    scheme
        Dependency scheme of the edges.
    scale
        "own": each map from 0 to its own maximum, which is written below it. "shared": one square-root scale for all
        words, which makes colors comparable.
    vmax
        Mean attention probability at the top of the shared scale; the largest value of any word if None.
    colorbar
        Whether to add a color bar, which takes up part of the axes.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. ``ax.child_axes`` holds the axes of the maps, in the order of the words.

    Raises
    ------
    ValueError
        If there is no such scale, or `vmax` is given with scales of their own.
    """
    expect(maps, HeatMaps)
    check_scale(scale, vmax)
    shared = scale == "shared"
    n = len(maps)
    aspect = min(2.0, max(0.5, maps.image_size[0] / maps.image_size[1]))
    if ax is None:
        edges = maps.sentence.edges_of(scheme)
        longest = max((min(len(e.relation), RELATION) for e in edges), default=0)
        per_word = max(_CELL, _LETTER * longest)
        width = min(_WIDEST, max(rcParams["figure.figsize"][0], per_word * n))
        map_height = aspect * min(_LARGEST, width / max(n, 1))
        below = 0.0 if shared else _BELOW / 72
        ax = new_axes(arcs_height(maps.sentence, scheme) + map_height + below, width)
    dependency_arcs(maps.sentence, scheme=scheme, ax=ax)
    if shared and vmax is None:
        vmax = largest_value([maps])
    if colorbar:
        text = scale_label(maps.kind, is_root=shared)
        text = wrapped(text if shared else f"{text}, each map to its own maximum", 28)
        norm = Normalize(0.0, 1.0) if vmax is None else root_norm(vmax)
        bar = add_color_bar(
            ScalarMappable(norm, overlay_colors()), text, ax=ax, pad=0.01, aspect=30
        )
        if not shared:
            bar.set_ticks([0, 1], labels=["0", "max"])
    bottom, height = _make_room(ax, aspect, 0.0 if shared else _BELOW)
    for word in maps.words:
        cell = ax.inset_axes((word.index - 0.46, bottom, 0.92, height), transform=ax.transData)
        cell.set_anchor("N")
        draw_word(image, maps, word.index, ax=cell, top=vmax)
        if not shared and word.status == "mapped":
            cell.annotate(
                f"max {maps[word.index].resize().max():#.2g}",
                (0.5, 0.0),
                (0, -2),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=6.5,
                color="0.25",
                annotation_clip=False,
            )
    return ax


def _make_room(ax: Axes, aspect: float, below: float) -> tuple[float, float]:
    """Lower the y limit to make room for maps below the words, and return their bottom and height in data units.

    Parameters
    ----------
    ax
        Axes with the arcs and the words.
    aspect
        Height of a map over its width.
    below
        Points below the maps.
    """
    figure = figure_of(ax)
    figure.draw_without_rendering()  # applies the layout
    box = ax.get_window_extent()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    pixels = min(0.92 * box.width / (right - left), _LARGEST * figure.dpi) * aspect
    pixels = min(pixels, 0.6 * box.height)
    text = below * figure.dpi / 72
    unit = (top - bottom) / (box.height - pixels - text)
    ax.set_ylim(bottom - unit * (pixels + text), top)
    return bottom - unit * pixels, unit * pixels
