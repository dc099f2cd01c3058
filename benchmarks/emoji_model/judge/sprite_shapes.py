"""Shapes of whole sprites, to which the regions of an annotated image are compared."""

from __future__ import annotations

from functools import cache

import numpy as np

from daam_syntax.emoji.sprites import draw_sprite

Box = tuple[float, float, float, float]
"""Left, top, right, and bottom, as shares of the sides of the image."""


@cache
def coverage(noun: str) -> float:
    """Return the share of the square around a sprite that it covers."""
    alpha = np.asarray(draw_sprite(noun, 128))[..., 3]
    return float((alpha > 127).sum()) / 128**2


def stretch(noun: str, box: Box) -> float:
    """Return how much longer or shorter a box is than the sprite, beside its other side: a factor of at least 1."""
    left, top, right, bottom = box
    factor = (right - left) / (bottom - top) / _aspect(noun)
    return max(factor, 1 / factor)


@cache
def _aspect(noun: str) -> float:
    """Return the ratio of the width of a sprite to its height."""
    width, height = draw_sprite(noun, 128).size
    return width / height
