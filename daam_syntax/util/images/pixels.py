"""Convert images of any mode, bit depth, and orientation to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.images.color_profiles import in_srgb
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

_DEEP: Final = ("I", "F")
"""Modes with one channel of more than 8 bits; their other names begin with "I;"."""

_ORIENTATION: Final = 0x0112
"""EXIF tag of how a camera was turned."""

_OVERSHOOT: Final = 0.05
"""How far floats may lie outside of their scale, in parts of it, as after resampling; they are clipped."""


def as_rgb(image: Any) -> Image:
    """Return an image in 8-bit RGB, upright, whatever its number of channels and bits.

    Parameters
    ----------
    image
        An image of Pillow in any mode; or an array of floats from 0 to 1, of booleans, or of integers.
        *Shape:* ``(y, x)``, or ``(y, x, channel)`` with 1 channel (gray), 3 (RGB), or 4 (RGB and opacity).
        Transparent pixels become white. A photograph is rotated according to its EXIF tag, and its colors are converted
        from its color profile to sRGB. Values of more than 8 bits
        are on the scale of 0 to 1 if they are floats and none is above 1, on that of 0 to 255 if none is above 255, and
        else on that of 0 to 65,535.

    Raises
    ------
    ValueError
        If an array has another shape, is not finite, is masked, or has values on no such scale, or opacity on another
        one; or if the file of an image turns out to be damaged.
    TypeError
        If it is anything else.
    """
    from PIL import Image as PillowImage

    if not isinstance(image, PillowImage.Image):
        return PillowImage.fromarray(_bytes(image))
    if 0 in image.size:
        raise ValueError(
            f"Expected an image with pixels, but got one of {image.height}x{image.width}."
        )
    upright = _upright(image)
    if upright.mode in _DEEP or upright.mode.startswith("I;"):
        return PillowImage.fromarray(_deep(upright))
    if upright.mode == "La":  # which Pillow converts to nothing else
        upright = upright.convert("LA")
    if "A" in upright.mode or "a" in upright.mode or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = PillowImage.new("RGBA", layer.size, "white")
        opaque = PillowImage.alpha_composite(white, layer).convert("RGB")
    else:  # profiles of CMYK and gray describe pixels before they are converted
        opaque = upright if upright.mode in ("CMYK", "L") else upright.convert("RGB")
    shown = in_srgb(opaque, upright.info.get("icc_profile"))
    return shown if shown.mode == "RGB" else shown.convert("RGB")


@contextmanager
def any_number_of_pixels() -> Iterator[None]:
    """Temporarily lift Pillow's limit on the number of pixels of an image, which photos of phones exceed."""
    from PIL import Image as PillowImage

    before = PillowImage.MAX_IMAGE_PIXELS
    PillowImage.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PillowImage.MAX_IMAGE_PIXELS = before


def _upright(image: Image) -> Image:
    """Return an image as its camera was turned: itself if it is upright, so that large images are not copied."""
    from PIL import ImageOps

    try:
        image.load()  # files are decoded only now
        is_upright = image.getexif().get(_ORIENTATION, 1) == 1
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(
            f"Expected an image that can be read, but {one_line(error).rstrip('.')}."
        ) from error
    return image if is_upright else ImageOps.exif_transpose(image)


def _deep(image: Image) -> np.ndarray:
    """Return an image of more than 8 bits as bytes; the gray that is transparent is white. *Shape:* ``(y, x, 3)``."""
    values = np.asarray(image)
    pixels = _bytes(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return pixels


def _bytes(array: Any) -> np.ndarray:
    """Return an array of pixels as bytes. *Shape:* ``(y, x, 3)``."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected an image of Pillow or an array of pixels, but got {shown(array)}."
        )
    if (
        array.ndim not in (2, 3)
        or 0 in array.shape
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise ValueError(
            f"Expected pixels of the shape (y, x), (y, x, 3) or (y, x, 4), but got {array.shape}."
        )
    if np.ma.is_masked(array):
        raise ValueError(
            "Expected a value for each pixel, but some are masked: fill them, for example with pixels.filled(255)."
        )
    array = np.asarray(array)  # a plain array of a matrix or a mask
    if not np.isfinite(array).all():
        raise ValueError("Expected finite pixels, but got NaN or infinity.")
    full = _full(array)
    if array.shape[2:] == (4,) and full > 1 and 0 < array[..., 3].max() <= 1:
        raise ValueError(
            f"Expected opacity from 0 to {full:,}, as the colors have, but got at most "
            f"{array[..., 3].max():g}: multiply the fourth channel by {full:,}."
        )
    values = np.clip(array.astype(np.float64) / full, 0, 1)
    values = values if values.ndim == 3 else values[..., None]
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    return np.broadcast_to((values * 255).round().astype(np.uint8), (*values.shape[:2], 3)).copy()


def _full(array: np.ndarray) -> float:
    """Return the value of white."""
    if array.dtype in (bool, np.uint8):
        return 1 if array.dtype == bool else 255
    low, high = float(array.min()), float(array.max())
    scales, over = ((1, 255, 65535), _OVERSHOOT) if array.dtype.kind == "f" else ((255, 65535), 0)
    if low >= -over * max(high, 1):
        for full in scales:
            if high <= full * (1 + over):
                return full
    named = ", or ".join(f"from 0 to {full:,}" for full in scales)
    raise ValueError(
        f"Expected pixels {named}, but got {array.dtype} from {low:g} to {high:g}: scale them, for example to "
        "(pixels - pixels.min()) / (pixels.max() - pixels.min())."
    )
