"""One heat map over its image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize

from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.colors import color_map, opacity, overlay_colors, root_norm
from daam_syntax.figures.shared.styles import add_color_bar, new_axes
from daam_syntax.figures.shared.word_labels import label, label_fonts
from daam_syntax.maps import HeatMap, HeatMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked
from daam_syntax.util.images.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_ATTENTION: Final = "mean attention probability"

ROOT_SCALE_LABEL: Final = f"{_ATTENTION} (square-root scale)"
"""Label of the color scale of maps of attention that share one scale."""

_DARKEST: Final = 0.4  # gray of black pixels: a dark image must differ from much attention


@checked(vmax=POSITIVE, image=OWN, heat_map=OWN)
def overlay(
    image: Image | np.ndarray,
    heat_map: HeatMap,
    *,
    ax: Axes | None = None,
    vmax: float | None = None,
    norm: Normalize | None = None,
    cmap: str | Colormap | None = None,
    title: str | None = None,
    colorbar: bool | None = None,
) -> Axes:
    """Draw a heat map over its image.

    The image is shown in light gray, so color means attention only: the darker, the more, and transparent where there
    is none.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)`` or ``(y, x)``.
    heat_map
        Map of a word, phrase or subtree. It is upscaled to the image size (bicubic).
    ax
        Axes to draw on; new ones if None.
    vmax
        Mean attention probability at the top of the color scale; the map's own maximum if None. Pass the same value
        to several overlays to make them comparable.
    norm
        Another color scale than a linear one from 0 to `vmax`, such as ``matplotlib.colors.PowerNorm(0.5, 0, 0.3)``.
    cmap
        Color map, or the name of one of matplotlib or seaborn; that of all figures (yellow to dark red) if None.
    title
        Title; the map's label if None, no title if empty.
    colorbar
        Whether to add a color bar, which takes up part of the axes; if None, only to new axes.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. ``ax.images[-1]`` has the color scale, for a color bar.

    Raises
    ------
    TypeError
        If `heat_map` is not a `HeatMap`.
    ValueError
        If both `vmax` and `norm` are given, or the image has other proportions than that of the map.
    """
    expect(heat_map, HeatMap)
    if vmax is not None and norm is not None:
        raise ValueError(
            f"Expected vmax or norm, but got vmax={vmax!r} and a norm; set the top of the norm."
        )
    if colorbar is None:
        colorbar = ax is None
    if ax is None:
        ax = new_axes(2.8, 3.4)
    pixels = np.asarray(as_rgb(image), dtype=np.float32)
    height, width = pixels.shape[:2]
    _check_proportions((height, width), heat_map.image_size)
    gray = pixels @ np.array([0.299, 0.587, 0.114])
    values = heat_map.resize((height, width))
    if norm is None:
        norm = Normalize(0.0, float(vmax if vmax is not None else values.max()) or 1.0)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    light = _DARKEST + (1 - _DARKEST) * gray / 255
    ax.imshow(light, cmap="gray", vmin=0, vmax=1, extent=extent)
    colors = cmap if isinstance(cmap, Colormap) else color_map(cmap)
    ax.imshow(
        values,
        cmap=colors,
        norm=norm,
        alpha=opacity(np.asarray(norm(values))),
        extent=extent,
        interpolation="nearest",
    )
    ax.set_axis_off()
    text = label(heat_map.label, 28) if title is None else title
    if text:
        ax.set_title(text, fontfamily=label_fonts(), parse_math=False)
    if colorbar:
        scale = ScalarMappable(norm, overlay_colors(colors))
        add_color_bar(scale, scale_label(heat_map.kind), ax=ax, shrink=0.8, pad=0.02)
    return ax


def scale_label(kind: str, *, is_root: bool = False) -> str:
    """Return the label of the color scale of maps of a kind (see `HeatMaps.kind`), perhaps a square-root scale."""
    text = _ATTENTION if kind == "attention" else kind
    return f"{text} (square-root scale)" if is_root else text


def _check_proportions(size: tuple[int, int], recorded: tuple[int, int]) -> None:
    """Raise a `ValueError` if an image is not the image of a map at any scale, to within a pixel."""
    height, width = size
    if (
        abs(height - width * recorded[0] / recorded[1]) > 1
        and abs(width - height * recorded[1] / recorded[0]) > 1
    ):
        raise ValueError(
            f"Expected an image in the proportions of {recorded[0]}x{recorded[1]} pixels (height x width), for which "
            f"the map was recorded, but got {height}x{width}: pass the image itself, or for a photo that "
            "`trace_image` fitted, `fit_image(photo, maps)`."
        )


def largest_value(maps: Iterable[HeatMaps]) -> float:
    """Return the largest value of any word's map at the size of its image; 1 if no word has a map."""
    return max((float(each[i].resize().max()) for each in maps for i in each.mapped), default=1.0)


def draw_word(
    image: Image | np.ndarray, maps: HeatMaps, word: int, *, ax: Axes, top: float | None
) -> None:
    """Draw the map of a word over its image, without a title, or the word's status if it has no map.

    Parameters
    ----------
    image
        The image: a PIL image or an array. *Shape:* ``(y, x, 3)``.
    maps
        The heat maps of the image.
    word
        Index of the word.
    ax
        Axes to draw on.
    top
        Mean attention probability at the top of a square-root scale; a linear scale to the map's own maximum if None.
    """
    status = maps.words[word].status
    if status == "mapped":
        overlay(image, maps[word], ax=ax, norm=None if top is None else root_norm(top), title="")
    else:
        _draw_status(ax, status, maps.image_size)


def _draw_status(ax: Axes, status: str, image_size: tuple[int, int]) -> None:
    """Draw an empty box with the shape of the image that says why there is no map."""
    aspect = image_size[0] / image_size[1]
    ax.set_xlim(0, 1)
    ax.set_ylim(0, aspect)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_facecolor("0.96")
    for spine in ax.spines.values():
        spine.set_color("0.8")
    ax.text(0.5, aspect / 2, status, ha="center", va="center", fontsize=7, color="0.4")
