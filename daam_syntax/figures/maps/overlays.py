"""One heat map over its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from daam_syntax.figures.arguments import expect
from daam_syntax.figures.labels import label, label_fonts
from daam_syntax.maps import HeatMap

if TYPE_CHECKING:
    from PIL.Image import Image

CMAP: Final = "rocket"
"""seaborn's perceptually uniform map from black over red to white."""

_STRONGEST: Final = 0.85  # opacity where attention is highest: the picture still shows through


def overlay(
    image: Image | np.ndarray,
    heat_map: HeatMap,
    *,
    ax: Axes | None = None,
    vmax: float | None = None,
    cmap: str | Colormap | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a heat map over its picture.

    The picture is shown in grey, so that colour means attention only; the map is opaque where
    attention is high and clear where there is none.

    Parameters
    ----------
    image
        The picture: a PIL image or an array, shape (y, x, 3) or (y, x).
    heat_map
        A word's, phrase's or subtree's map; upscaled to the picture (bicubic).
    ax
        Where to draw; new axes if None.
    vmax
        Mean attention probability at the top of the colour scale; the map's own maximum if None. Give the
        same value to several overlays to make them comparable.
    cmap
        Colour map; `CMAP` if None.
    title
        Text above; the map's label if None, nothing if empty.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.images[-1]`` carries the colour scale for a colour bar.
    """
    expect(heat_map, HeatMap)
    if ax is None:
        _, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    pixels = np.asarray(image, dtype=np.float32)
    grey = pixels[..., :3] @ np.array([0.299, 0.587, 0.114]) if pixels.ndim == 3 else pixels
    height, width = grey.shape
    values = heat_map.resize((height, width))
    norm = Normalize(0.0, float(vmax if vmax is not None else values.max()) or 1.0)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    # Lightened, so that the dark end of the colour map differs from a dark picture.
    full = 255.0 if pixels.max() > 1 else 1.0
    ax.imshow(0.25 + 0.75 * grey / full, cmap="gray", vmin=0, vmax=1, extent=extent)
    opacity = _STRONGEST * np.sqrt(np.clip(norm(values), 0.0, 1.0))
    ax.imshow(
        values,
        cmap=cmap or sns.color_palette(CMAP, as_cmap=True),
        norm=norm,
        alpha=opacity,
        extent=extent,
        interpolation="nearest",
    )
    ax.set_axis_off()
    text = label(heat_map.label) if title is None else title
    if text:
        ax.set_title(text, fontfamily=label_fonts(), parse_math=False)
    return ax


def draw_status(ax: Axes, status: str, image_size: tuple[int, int]) -> None:
    """Draw an empty box, in the shape of the picture, with the reason that there is no map."""
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
