"""How maps look in a notebook: a strip of small pictures on one colour scale."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Iterable
from typing import Final

import numpy as np

_LONGEST: Final = 144
"""Longest side of a picture, pixels: twice as fine as it is shown, however large the image is."""


def thumbnail_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of an image's small pictures, in its proportions."""
    scale = min(1.0, _LONGEST / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def strip(cells: Iterable[tuple[str, np.ndarray | str]], top: float) -> str:
    """Return HTML with one cell per word: its map, or why it has none.

    Parameters
    ----------
    cells
        A label, and a map, shape (y, x), or a status.
    top
        Mean attention probability that is drawn darkest.
    """
    parts = []
    for label, content in cells:
        if isinstance(content, str):
            body = f'<span style="color:#888">{html.escape(content)}</span>'
        else:
            shade = np.clip(1.0 - content / (top or 1.0), 0.0, 1.0)
            picture = base64.b64encode(_png((shade * 255).astype(np.uint8))).decode()
            body = (
                f'<img width="72" src="data:image/png;base64,{picture}" alt="map of {html.escape(label)}" '
                'style="border:1px solid #ccc">'
            )
        parts.append(
            '<div style="display:inline-block;text-align:center;margin:2px;vertical-align:top">'
            f"{body}<br><small>{html.escape(label)}</small></div>"
        )
    scale = f"<div><small>white 0, black {top:.3g} mean attention probability</small></div>"
    return f"<div>{''.join(parts)}{scale}</div>"


def _png(grey: np.ndarray) -> bytes:
    """Encode an 8-bit grey picture, shape (y, x) (PNG specification, 1996: 8-bit greyscale, no filter)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
