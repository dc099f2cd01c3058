"""Read given images, and fit them to sizes that a model draws."""

from __future__ import annotations

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
from daam_syntax.util.image_fitting import FITS, Fit, Fitting
from daam_syntax.util.pixels import as_rgb
from daam_syntax.util.user_warnings import warn_user
from daam_syntax.util.wording import one_line, plural

GivenImage = Image.Image | NDArray[Any] | str | Path
"""A PIL image, the path of its file, or an array ``(y, x, 3)`` of 8-bit integers or of floats in [0, 1]."""

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
    """Read, check, and fit an image."""
    if isinstance(image, str | Path):
        image = _opened(Path(image))
    array = _checked(np.asarray(as_rgb(image) if isinstance(image, Image.Image) else image))
    height, width = array.shape[:2]
    fitting = None
    if fit is not None:
        assert target is not None, "`fitted_size` raises if it is unknown"
        fitting = Fitting.plan(fit, (height, width), target)
        if (height, width) != target:
            array = np.asarray(fitting.apply(as_rgb(array))) / 255
    elif height % factor or width % factor:
        raise TraceError(
            f"Expected an image whose height and width are multiples of {factor}, but got "
            f'{height}x{width} (height x width): pass fit="crop" to crop it to what the model draws, fit="resize" '
            "to resize it, or an image of "
            f"{height // factor * factor or factor}x{width // factor * factor or factor}."
        )
    return GivenPixels(torch.from_numpy(array.astype(np.float32) * 2 - 1).permute(2, 0, 1), fitting)


def _opened(path: Path) -> Image.Image:
    """Return the image in a file, upright and in RGB."""
    try:
        with Image.open(path) as image:
            return as_rgb(image)
    except Exception as error:
        # Decoders of damaged files raise errors of many types that have only Exception in common.
        reason = getattr(error, "strerror", None) or one_line(error).rstrip(".")
        raise FileError(f"Expected an image file at {path}, but {reason}.") from error


def _checked(array: NDArray[Any]) -> NDArray[Any]:
    """Return an image as floats in [0, 1]. *Shape:* ``(y, x, 3)``."""
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise TraceError(
            "Expected a PIL image, the path of its file or an array of shape (y, x, 3), but got the shape "
            f"{array.shape}."
        )
    if array.dtype == np.uint8:
        return array / 255
    if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):
        raise TraceError(
            "Expected an image of 8-bit integers or of floats in [0, 1], but got "
            f"{array.dtype} from {array.min()} to {array.max()}."
        )
    return array
