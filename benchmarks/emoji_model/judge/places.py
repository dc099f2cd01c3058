"""Which background an image shows, by comparison with backgrounds drawn many times."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.emoji_model.judge.regions import near
from daam_syntax.emoji.backgrounds import draw_background
from daam_syntax.emoji.vocabulary import BACKGROUNDS

PLACES: Final = (None, *BACKGROUNDS)
"""All backgrounds; None is the plain one."""

_GRID: Final = 16
_DRAWN: Final = 60
_SPREAD: Final = (
    6.0  # smallest standard deviation, in gray levels: generated images vary more than drawn ones
)


@cache
def _templates() -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations of all places, ``(place, y, x, 3)``."""
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [[_small(draw_background(place, 128, rng)) for _ in range(_DRAWN)] for place in PLACES]
    )
    return drawn.mean(axis=1), np.maximum(drawn.std(axis=1), _SPREAD)


def _small(image: Image.Image) -> np.ndarray:
    grid = image.convert("RGB").resize((_GRID, _GRID), Image.Resampling.BOX)
    return np.asarray(grid, dtype=np.float64)


def place_shown(image: Image.Image, objects: np.ndarray) -> str | None:
    """Return the background of an image, judged where no object is.

    The likeliest place under independent normal distributions of the colors of a 16 x 16 grid.

    Parameters
    ----------
    image
        The image.
    objects
        Pixels of objects, bool; the sides are multiples of 16. *Shape:* ``(y, x)``.

    Returns
    -------
    str or None
        One of `BACKGROUNDS`, or None for a plain background.
    """
    height, width = objects.shape
    blocks = near(objects).reshape(_GRID, height // _GRID, _GRID, width // _GRID)
    free = ~blocks.any(axis=(1, 3))
    if not free.any():
        free = ~blocks.all(axis=(1, 3))
    means, spreads = _templates()
    surprise = ((_small(image) - means) / spreads) ** 2 / 2 + np.log(spreads)
    return PLACES[int(surprise[:, free].mean(axis=(1, 2)).argmin())]
