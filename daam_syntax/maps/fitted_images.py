"""The pixels that the maps of a given image belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daam_syntax.maps.heatmaps import HeatMaps
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.images.fitting import Fitting
from daam_syntax.util.images.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image


@checked
def fit_image(image: Any, maps: HeatMaps) -> Image:
    """Crop or resize an image as `trace_image` did with ``fit=``, so that its maps lie on the right pixels.

    Parameters
    ----------
    image
        The image that was traced, before or after it was fitted: one of Pillow in any mode, or an array.
        *Shape:* ``(y, x, 3)``.
    maps
        Its heat maps; their provenance has the box and the size.

    Returns
    -------
    PIL.Image.Image
        The upright image in 8-bit RGB, with the size of the maps' image.

    Raises
    ------
    ValueError
        If the image has neither the size of the maps' image nor that of the original.

    Examples
    --------
    >>> maps = trace_image(pipe, photo, "a cat", fit="crop")  # doctest: +SKIP
    >>> figures.overlay(fit_image(photo, maps), maps["cat"])  # doctest: +SKIP
    """
    pixels = as_rgb(image)
    size = (pixels.height, pixels.width)
    if size == maps.image_size:
        return pixels
    entry = maps.provenance.get("fit")
    fitting = None if entry is None else Fitting.from_provenance(entry)
    if fitting is not None and size == fitting.original_size:
        return fitting.apply(pixels)
    height, width = maps.image_size
    original = ""
    if fitting is not None:
        original = f", or the original of {fitting.original_size[0]}x{fitting.original_size[1]},"
    raise ValueError(
        f"Expected an image of {height}x{width} pixels (height x width), for which the maps were recorded{original} "
        f"but got {size[0]}x{size[1]}: pass the image itself; `trace_image` fits a photo of another size with "
        'fit="crop" or fit="resize".'
    )
