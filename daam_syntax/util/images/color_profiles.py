"""Convert images with a color profile, such as the Display P3 of phones, to sRGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.util.user_warnings import warn_user
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES: Final = {"RGB": ("RGB",), "CMYK": ("CMYK",), "GRAY": ("L",)}
"""Modes of Pillow whose pixels a profile of some color space describes."""


def in_srgb(image: Image, profile: bytes | None) -> Image:
    """Return an image with the colors that a viewer shows: converted to sRGB in 8-bit RGB by its color profile.

    Parameters
    ----------
    image
        An image in 8 bits.
    profile
        Its color profile as it stands in files, or None.

    Returns
    -------
    PIL.Image.Image
        The image itself if it has no profile, that of sRGB, or one of another color space, which viewers ignore. A
        profile that cannot be used is ignored with a warning.
    """
    if not profile:
        return image
    try:
        return _converted(image, profile)
    except (ImportError, OSError, ValueError, TypeError) as error:
        warn_user(
            f"The color profile of an image cannot be used ({one_line(error).rstrip('.')}): its colors are read as "
            "sRGB."
        )
        return image


def _converted(image: Image, contents: Any) -> Image:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(io.BytesIO(contents))
    space = profile.profile.xcolor_space.strip()
    name = profile.profile.profile_description or ""
    if image.mode not in _MODES.get(space, ()) or name.startswith("sRGB"):
        return image
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    assert converted is not None, "only changes in place return nothing"
    converted.info.pop("icc_profile", None)  # or what shows or saves it would convert it again
    return converted
