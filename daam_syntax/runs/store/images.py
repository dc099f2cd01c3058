"""Stored images, which may come from files that other people wrote."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daam_syntax.errors import FileError
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS: Final = 2**26
"""More than any model draws; 200 MB as RGB."""


def decoded(content: bytes, size: tuple[int, int], number: int, path: Path) -> Image:
    """Return an image from the bytes of a PNG file.

    Parameters
    ----------
    content
        The file.
    size
        Height and width that the image must have.
    number
        Number of the image, for messages.
    path
        The table in which it is stored, for messages.

    Raises
    ------
    FileError
        If it is not an RGB image in a PNG file, of this size.
    """
    from PIL import Image as PillowImage

    try:
        # Only this decoder, because the others have had faults that files could exploit.
        image = PillowImage.open(io.BytesIO(content), formats=["PNG"])
        if image.size != (size[1], size[0]) or size[0] * size[1] > MOST_PIXELS:
            raise ValueError(
                f"it has {image.size[0]} x {image.size[1]} pixels, not {size[1]} x {size[0]}"
            )
        if image.mode != "RGB" or getattr(image, "is_animated", False):
            # Runs write nothing else, and a conversion would clip more than 8 bits.
            raise ValueError(f"it is of mode {image.mode}, or has several frames, not one of RGB")
        image.load()
        return image
    except PillowImage.UnidentifiedImageError as error:
        raise FileError(f"Expected image {number} as PNG in {path}, but it is not PNG.") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        PillowImage.DecompressionBombError,
    ) as error:
        raise FileError(
            f"Expected image {number} as PNG in {path}, but {one_line(error)}."
        ) from error
