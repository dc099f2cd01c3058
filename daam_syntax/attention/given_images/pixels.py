"""Read given images, and fit them to sizes that a model draws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daam_syntax.attention.families import Family
from daam_syntax.attention.families.drawn_sizes import drawn_size
from daam_syntax.errors import FileError, TraceError
from daam_syntax.util.arguments.annotations import is_numeric, shown
from daam_syntax.util.images.fitting import FITS, Fit, Fitting
from daam_syntax.util.images.pixels import any_number_of_pixels, as_rgb
from daam_syntax.util.user_warnings import warn_user
from daam_syntax.util.wording import one_line, plural

GivenImage = Image.Image | NDArray[Any] | str | Path
"""A PIL image, the path of its file, or an array ``(y, x, 3)`` of 8-bit integers or of floats in [0, 1]."""

_LARGEST: Final = 64
"""Ratio of areas beyond which an image is not read as it is: the work grows with its square."""

_MOST_PIXELS: Final = 2**28
"""Pixels of the largest photos of phones; decoders take 4 bytes for each."""

_MANY_PIXELS: Final = 2**26
"""A JPEG with more that will be fitted is reduced while it is decoded, which saves most of the time and memory."""

_ONE_IMAGE: Final = ("MPO", "PSD")
"""Formats whose frames are previews, depths, or layers of one image, as in photos of phones."""

_FAR: Final = 4.0
"""Ratio of areas beyond which an image is far from what a model draws: twice the height and width, or half of them."""


class GivenPixels(NamedTuple):
    """An image with values in [-1, 1], and how it was fitted. *Shape:* ``(3, y, x)``."""

    pixels: Tensor
    fitting: Fitting | None


def size_factor(pipe: Any, family: Family) -> int:
    """Return the number of pixels of which heights and widths of images are multiples.

    It is the side of a latent, times the latents along the side of a token. Transformers would leave out the rows and
    columns that do not fill a token.
    """
    config = family.denoiser_of(pipe).config
    patch = getattr(config, "patch_size", None) or max(getattr(config, "all_patch_size", (1,)))
    packed = family.image_latents.per_token
    return int(pipe.vae_scale_factor) * (packed if packed > 1 else patch)


def fitted_size(
    pipe: Any, family: Family, factor: int, fit: Fit | None, size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the height and width that images are fitted to; None if unknown and not needed."""
    if fit is None:
        if size is not None:
            raise TraceError(
                f'Expected fit="crop" or fit="resize" with a size, but got size={size} alone.'
            )
        return drawn_size(pipe, family)
    if fit not in FITS:
        raise TraceError(f'Expected fit="crop", fit="resize" or fit=None, but got {fit!r}.')
    target = size or drawn_size(pipe, family)
    if target is None:
        raise TraceError(
            f'Expected size=(height, width) with fit="{fit}", because {type(pipe).__name__} does not say which size '
            "it draws: pass for example size=(1024, 1024)."
        )
    if len(target) != 2 or any(side != int(side) or side < 1 or side % factor for side in target):
        raise TraceError(
            f"Expected a size (height, width) in positive multiples of {factor}, but got {tuple(target)}."
        )
    return int(target[0]), int(target[1])


def warn_of_far_sizes(pixels: Sequence[Tensor], target: tuple[int, int] | None) -> None:
    """Warn of images whose size is far from what the model draws, where its maps mean little."""
    if target is None:
        return
    area = target[0] * target[1]
    sizes = [(each.shape[1], each.shape[2]) for each in pixels]
    far = [size for size in sizes if not 1 / _FAR <= size[0] * size[1] / area <= _FAR]
    if far:
        warn_user(
            f"{plural(len(far), 'image')} of {far[0][0]}x{far[0][1]} pixels (height x width) or similar: this model "
            f"draws {target[0]}x{target[1]}, and its maps of such a different size may mean little. "
            'fit="crop" or fit="resize" fits images to it.'
        )


def read_image(
    image: GivenImage, factor: int, fit: Fit | None, target: tuple[int, int] | None
) -> GivenPixels:
    """Read, check, and fit an image. It is fitted before its pixels become floats, which take far more memory."""
    given, (height, width) = _read(image, None if fit is None else target)
    if fit is None:
        _check_size((height, width), factor, target)
        fitting = None
    else:
        assert target is not None, "`fitted_size` raises if it is unknown"
        fitting = Fitting.plan(fit, (height, width), target)
        if (height, width) != target:
            with any_number_of_pixels():
                given = fitting.apply(as_rgb(given))
    array = np.asarray(given)
    if array.dtype == np.uint8:
        array = array / 255
    return GivenPixels(torch.from_numpy(array.astype(np.float32) * 2 - 1).permute(2, 0, 1), fitting)


def _check_size(size: tuple[int, int], factor: int, target: tuple[int, int] | None) -> None:
    """Refuse an image that a model cannot read as it is, or that would take it hours."""
    height, width = size
    if height % factor or width % factor:
        raise TraceError(
            f"Expected an image whose height and width are multiples of {factor}, but got "
            f'{height}x{width} (height x width): pass fit="crop" to crop it to what the model draws, fit="resize" '
            "to resize it, or an image of "
            f"{height // factor * factor or factor}x{width // factor * factor or factor}."
        )
    if target is not None and height * width > _LARGEST * target[0] * target[1]:
        raise TraceError(
            f"Expected an image of at most {_LARGEST} times the pixels that the model draws ({target[0]}x{target[1]}, "
            f'height x width), but got {height}x{width}: pass fit="crop" to crop it to what the model draws, or '
            'fit="resize" to resize it.'
        )


def _read(
    image: GivenImage, target: tuple[int, int] | None
) -> tuple[Image.Image | NDArray[Any], tuple[int, int]]:
    """Return an image in upright 8-bit RGB, or an array of floats; and its height and width before it was reduced."""
    if isinstance(image, Image.Image):
        image = as_rgb(image)
    elif isinstance(image, str | os.PathLike):
        return _opened(Path(image), target)
    else:
        image = _checked(image)
    height, width = np.shape(image)[:2] if isinstance(image, np.ndarray) else image.size[::-1]
    return image, (height, width)


def _opened(path: Path, target: tuple[int, int] | None) -> tuple[Image.Image, tuple[int, int]]:
    """Return the image in a file, and its height and width; `target` is the size that it will be fitted to."""
    try:
        with any_number_of_pixels(), Image.open(path) as image:
            width, height = image.size
            if target is not None and width * height > _MANY_PIXELS:
                image.draft("RGB", (2 * max(target), 2 * max(target)))
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(
                    f"it has {height}x{width} pixels (height x width), more than {_MOST_PIXELS:,}: save a smaller "
                    'copy, or save it as JPEG and pass fit="crop" or fit="resize"'
                )
            is_reduced = image.width < width
            frames = 1 if image.format in _ONE_IMAGE else getattr(image, "n_frames", 1)
            upright = as_rgb(image)
    except Exception as error:
        # Decoders of damaged files raise errors of many types that have only Exception in common.
        reason = getattr(error, "strerror", None) or one_line(error).rstrip(".")
        raise FileError(f"Expected an image file, but {path} cannot be read: {reason}.") from error
    if frames > 1:
        warn_user(
            f"{path} has {frames} frames or pages, of which the first is read: for another, pass the image that "
            "PIL.Image.open returns, after its method seek(number)."
        )
    if not is_reduced:
        return upright, (upright.height, upright.width)
    is_turned = (upright.width > upright.height) != (width > height)
    return upright, (width, height) if is_turned else (height, width)


def _checked(image: Any) -> Image.Image | NDArray[Any]:
    """Return an array of bytes as an image, and one of floats as it is. *Shape:* ``(y, x, 3)``."""
    array = image if isinstance(image, np.ndarray) else None
    if array is None or array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        got = shown(image) if array is None else f"the shape {array.shape}"
        raise TraceError(
            "Expected a PIL image, the path of its file or an array of shape (y, x, 3), but got "
            f"{got}."
        )
    if np.ma.is_masked(array):
        raise TraceError(
            "Expected a value for each pixel, but some are masked: fill them, for example with image.filled(1)."
        )
    array = np.asarray(array)
    if array.dtype == np.uint8:
        return as_rgb(array)
    if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):
        raise TraceError(
            "Expected an image of 8-bit integers or of floats in [0, 1], but got "
            f"{_range_of(array)}."
        )
    return array


def _range_of(array: NDArray[Any]) -> str:
    """Return the type of an array and, if it has numbers, their range."""
    if not is_numeric(array):
        return shown(array)
    return f"{array.dtype} from {array.min()} to {array.max()}"
