"""Sprites of the nouns, scaled and tinted."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from daam_syntax.emoji.vocabulary import COLORS
from daam_syntax.util.data_files import data_path

_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # Rec. 601
_OWN_COLOR: Final = 0.12  # share of a sprite's own color that shows through its tint
_RIM_COLOR: Final = (45, 45, 60)
_RIM_OPACITY: Final = 0.45


@cache
def sprite(noun: str) -> Image.Image:
    """Return the RGBA sprite of a noun, cropped to its content; its sides are at most 128 pixels."""
    return Image.open(data_path("sprites", f"{noun}.png")).convert("RGBA")


def draw_sprite(noun: str, side: float, color: str | None = None) -> Image.Image:
    """Scale a sprite to `side` pixels along its longer side, and tint it.

    A tint multiplies the color by the luminance of the sprite, which keeps the artwork visible.
    """
    image = sprite(noun)
    scale = side / max(image.size)
    width, height = (max(2, round(n * scale)) for n in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return _tint(image, color) if color else image


def draw_rim(layer: Image.Image) -> Image.Image:
    """Draw the thin soft shadow around what a layer shows, which sets white things off pale grounds.

    Parameters
    ----------
    layer
        An RGBA image, transparent around what it shows.

    Returns
    -------
    Image.Image
        The shadow alone, RGBA, to be laid under the layer.
    """
    alpha = layer.getchannel("A").filter(ImageFilter.MaxFilter(3))
    alpha = alpha.filter(ImageFilter.GaussianBlur(0.8)).point(lambda a: int(_RIM_OPACITY * a))
    rim = Image.new("RGBA", layer.size, (*_RIM_COLOR, 0))
    rim.putalpha(alpha)
    return rim


def _tint(image: Image.Image, color: str) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    shade = rgb @ _LUMINANCE / 255
    visible = alpha[..., 0] > 0
    if visible.any():
        low, high = shade[visible].min(), shade[visible].max()
        shade = np.clip((shade - low) / (high - low + 1e-6), 0, 1)
    # Black needs a wider range of shades than other colors for the artwork to stay visible.
    shade = 0.4 + 1.5 * shade if color == "black" else 0.35 + 0.75 * shade
    tinted = np.clip(np.array(COLORS[color], dtype=np.float32) * shade[..., None], 0, 255)
    mixed = (1 - _OWN_COLOR) * tinted + _OWN_COLOR * rgb
    return Image.fromarray(np.concatenate([mixed, alpha], axis=-1).astype(np.uint8), "RGBA")
