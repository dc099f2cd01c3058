"""The pictures of the nouns: shipped sprites, scaled and tinted."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from PIL import Image

from daam_syntax.emoji.vocabulary import COLOURS
from daam_syntax.util.data_files import data_path

_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # Rec. 601
_OWN_COLOUR: Final = 0.12  # how much of a sprite's own colour shows through its tint


@cache
def sprite(noun: str) -> Image.Image:
    """Return the RGBA sprite of a noun, cropped to its content, at most 128 pixels wide and high."""
    return Image.open(data_path("sprites", f"{noun}.png")).convert("RGBA")


def draw_sprite(noun: str, side: float, colour: str | None = None) -> Image.Image:
    """Scale a sprite so that its longer side is `side` pixels, and tint it.

    A tint multiplies the colour with the sprite's luminance, so that the drawing stays visible.
    """
    image = sprite(noun)
    scale = side / max(image.size)
    width, height = (max(2, round(n * scale)) for n in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return _tint(image, colour) if colour else image


def _tint(image: Image.Image, colour: str) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    shade = rgb @ _LUMINANCE / 255
    visible = alpha[..., 0] > 0
    if visible.any():
        low, high = shade[visible].min(), shade[visible].max()
        shade = np.clip((shade - low) / (high - low + 1e-6), 0, 1)
    # Black needs a wider range of shades than the others, or its drawing is lost.
    shade = 0.4 + 1.5 * shade if colour == "black" else 0.35 + 0.75 * shade
    tinted = np.clip(np.array(COLOURS[colour], dtype=np.float32) * shade[..., None], 0, 255)
    mixed = (1 - _OWN_COLOUR) * tinted + _OWN_COLOUR * rgb
    return Image.fromarray(np.concatenate([mixed, alpha], axis=-1).astype(np.uint8), "RGBA")
