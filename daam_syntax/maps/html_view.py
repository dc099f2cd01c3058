"""HTML view of heat maps for notebooks: a row of thumbnails, each from white (0) to black (its own maximum)."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Final

import numpy as np

_LONGEST: Final = 144
"""Longest side of a thumbnail in pixels: twice its size on the page, regardless of the size of the image."""


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
            shade = np.clip(1.0 - content / (top or 1.0), 0.0, 1.0)
            maximum = f'<br><small style="color:#666">max {top:#.2g}</small>'
            encoded = base64.b64encode(_png((shade * 255).astype(np.uint8))).decode()
            body = (
                f'<img width="72" src="data:image/png;base64,{encoded}" alt="map of {html.escape(label)}" '
                'style="border:1px solid #ccc">'
            )
        parts.append(
            '<div style="display:inline-block;text-align:center;margin:2px;vertical-align:top">'
            f"{body}<br><small>{html.escape(label)}</small>{maximum}</div>"
        )
    scale = "<div><small>mean attention probability: each map from white (0) to black (its own maximum)</small></div>"
    line = f"<div><small>{html.escape(note)}</small></div>" if note else ""
    return f"<div>{''.join(parts)}{scale}{line}</div>"


def _png(gray: np.ndarray) -> bytes:
    """Encode an 8-bit grayscale image as PNG. *Shape:* ``(y, x)``."""
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(gray).save(file, "PNG")
        return file.getvalue()
