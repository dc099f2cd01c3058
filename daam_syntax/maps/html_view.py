"""HTML view of heat maps for notebooks, a row of thumbnails, and the colors of attention in every view."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from functools import cache
from typing import Final

import numpy as np

HEAT: Final = "YlOrRd"
"""ColorBrewer's map from light yellow to dark red, for attention and its overlap: dark is much, everywhere."""

_LIGHTEST: Final = 0.06  # of `HEAT`: its lightest colors are too near to white paper
_SHADES: Final = 256
_LONGEST: Final = 144
"""Longest side of a thumbnail in pixels: twice its size on the page, regardless of the size of the image."""


@cache
def heat_colors() -> np.ndarray:
    """Return the colors of attention from 0 to the top of a scale, as RGBA from 0 to 1. *Shape:* ``(shade, 4)``."""
    import matplotlib as mpl  # only here: maps themselves need no colors

    colors = mpl.colormaps[HEAT](np.linspace(_LIGHTEST, 1.0, _SHADES))
    colors.setflags(write=False)
    return colors


def thumbnail_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of an image's thumbnails, in the proportions of the image."""
    scale = min(1.0, _LONGEST / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def strip(cells: Iterable[tuple[str, np.ndarray | str, float]], note: str = "") -> str:
    """Return HTML with one cell per word, which shows its heat map or the reason why it has none.

    Parameters
    ----------
    cells
        For each word its label, either its map (*shape:* ``(y, x)``) or its status, and the maximum of its map, a mean
        attention probability.
    note
        A line below the maps.
    """
    parts = []
    for label, content, top in cells:
        maximum = ""
        if isinstance(content, str):
            body = f'<span style="color:#888">{html.escape(content)}</span>'
        else:
            maximum = f'<br><small style="color:#666">max {top:#.2g}</small>'
            encoded = base64.b64encode(_png(_colored(content / (top or 1.0)))).decode()
            body = (
                f'<img width="72" src="data:image/png;base64,{encoded}" alt="map of {html.escape(label)}" '
                'style="border:1px solid #ccc">'
            )
        parts.append(
            '<div style="display:inline-block;text-align:center;margin:2px;vertical-align:top">'
            f"{body}<br><small>{html.escape(label)}</small>{maximum}</div>"
        )
    scale = (
        "<div><small>mean attention probability: each map from pale yellow (0) to dark red (its own maximum)"
        "</small></div>"
    )
    line = f"<div><small>{html.escape(note)}</small></div>" if note else ""
    return f"<div>{''.join(parts)}{scale}{line}</div>"


def _colored(share: np.ndarray) -> np.ndarray:
    """Return a map as 8-bit colors, where 1 is the top of its scale. *Shapes:* ``(y, x)`` and ``(y, x, 3)``."""
    colors = np.round(heat_colors()[:, :3] * 255).astype(np.uint8)
    places = np.round(np.clip(share, 0.0, 1.0) * (len(colors) - 1)).astype(int)
    return colors[places]


def _png(colors: np.ndarray) -> bytes:
    """Encode 8-bit colors as PNG. *Shape:* ``(y, x, 3)``."""
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(colors).save(file, "PNG")
        return file.getvalue()
