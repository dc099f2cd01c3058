"""Convert images of any mode, bit depth, and orientation to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_DEEP: Final = ("I", "F")
"""Modes with one channel of more than 8 bits; their other names begin with "I;"."""


def as_rgb(image: Any) -> Image:
    """Return an image in 8-bit RGB, upright, whatever its number of channels and bits.

    Parameters
    ----------
    image
        An image of Pillow in any mode; or an array of floats from 0 to 1 (or to 255), of booleans, or of integers.
        *Shape:* ``(y, x)``, or ``(y, x, channel)`` with 1 channel (gray), 3 (RGB), or 4 (RGB and opacity).
        Transparent pixels become white. A photograph is rotated according to its EXIF tag.

    Raises
    ------
    ValueError
        If an array has another shape, or is not finite.
    TypeError
        If it is anything else.
    """
    from PIL import Image as PillowImage
    from PIL import ImageOps

    if not isinstance(image, PillowImage.Image):
        return PillowImage.fromarray(_bytes(image))
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _DEEP or upright.mode.startswith("I;"):
        return PillowImage.fromarray(_bytes(_deep(upright)))
    if upright.mode == "La":  # which Pillow converts to nothing else
        upright = upright.convert("LA")
    if "A" in upright.mode or "a" in upright.mode or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = PillowImage.new("RGBA", layer.size, "white")
        return PillowImage.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def _deep(image: Image) -> np.ndarray:
    """Return the gray values of an image of 16 or 32 bits as floats from 0 to 1."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F" and values.size and values.min() >= 0 and values.max() <= 1:
        return values
    # Files of 16 bits open in the mode "I", too, and floats are gray values of 8 or of 16 bits.
    full = 255 if values.max(initial=0) <= 255 and image.mode == "F" else 65535
    return np.clip(values / full, 0, 1)


def _bytes(array: Any) -> np.ndarray:
    """Return an array of pixels as bytes. *Shape:* ``(y, x, 3)``."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"Expected an image of Pillow or an array of pixels, but got {type(array).__name__}."
        )
    if (
        array.ndim not in (2, 3)
        or 0 in array.shape
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise ValueError(
            f"Expected pixels of the shape (y, x), (y, x, 3) or (y, x, 4), but got {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("Expected finite pixels, but got NaN or infinity.")
    full = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1
    if array.dtype.kind == "f" and array.max() > 1:
        full = 255
    values = np.clip(array.astype(np.float64) / full, 0, 1)
    values = values if values.ndim == 3 else values[..., None]
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    return np.broadcast_to((values * 255).round().astype(np.uint8), (*values.shape[:2], 3)).copy()
