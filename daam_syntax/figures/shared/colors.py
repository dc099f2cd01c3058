"""Colors of attention, of series, and of controls, for color-blind readers and for print."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, Normalize, PowerNorm

from daam_syntax.maps.html_view import heat_colors

PALETTE: Final = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00", "#009E73", "#CC79A7")
"""The color-blind safe colors of Okabe and Ito (2008), without yellow, which is too light on white."""

CONTROL: Final = "0.2"
"""The gray of the control; no relation has it."""

DIVERGING: Final = "RdBu_r"
"""ColorBrewer's map from blue through white to red, for measures that can be negative."""

_STRONGEST: Final = 0.9  # opacity where attention is highest: the image still shows through
_FADING: Final = 0.85  # exponent of the opacity
_PAPER: Final = 0.85  # gray of a light region of an image under an overlay
_SHADES: Final = 256
_DASHES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


def color_map(name: str | None = None) -> Colormap:
    """Return a color map by name; the suffix "_r" reverses it.

    Parameters
    ----------
    name
        Name of a color map of matplotlib or seaborn; that of attention if None.

    Raises
    ------
    ValueError
        If no color map has the name.
    """
    if name is None:
        return _heat()
    if name in mpl.colormaps:
        return mpl.colormaps[name]
    import seaborn as sns  # only for its own color maps: importing it takes a second

    try:
        return sns.color_palette(name, as_cmap=True)
    except ValueError:
        raise ValueError(
            f"Expected the name of a color map of matplotlib or seaborn, such as 'viridis', but got {name!r}."
        ) from None


@cache
def _heat() -> ListedColormap:
    return ListedColormap(heat_colors(), name="attention")


def opacity(share: np.ndarray) -> np.ndarray:
    """Return the opacity of an overlay where the map has a share of the top of its scale (0 to 1)."""
    return _STRONGEST * np.clip(share, 0.0, 1.0) ** _FADING


def overlay_colors(colors: Colormap | None = None) -> ListedColormap:
    """Return the colors of an overlay as they look over light gray, for color bars beside overlays.

    Parameters
    ----------
    colors
        Color map of the overlay; that of attention if None.
    """
    share = np.linspace(0.0, 1.0, _SHADES)
    alpha = opacity(share)[:, None]
    seen = (colors or _heat())(share)[:, :3] * alpha + _PAPER * (1 - alpha)
    return ListedColormap(seen, name="overlay")


def root_norm(top: float) -> Normalize:
    """Return a square-root color scale from 0 to `top`, on which words with little attention are still visible."""
    return PowerNorm(0.5, 0.0, top or 1.0)


def series_style(number: int) -> dict[str, Any]:
    """Return the color, dashes and marker of one series; the first 24 differ in color or dashes.

    Parameters
    ----------
    number
        Number of the series, from 0.
    """
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": _DASHES[number // len(PALETTE) % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }
