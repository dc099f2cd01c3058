"""Crop or resize an image to another size, in a way that can be reported and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "resize"]
"""How an image becomes another size: its center is cropped to the new proportions and scaled, or all of it is scaled,
which changes its proportions."""

FITS: Final = ("crop", "resize")


@dataclass(frozen=True)
class Fitting:
    """How one image becomes another size.

    Attributes
    ----------
    fit
        "crop" or "resize".
    original_size
        Height and width of the upright image, in pixels.
    box
        The part that is kept, in pixels of the upright image: left, top, right, bottom.
    size
        Height and width of the result, in pixels.
    """

    fit: str
    original_size: tuple[int, int]
    box: tuple[int, int, int, int]
    size: tuple[int, int]

    @classmethod
    def plan(cls, fit: Fit, original_size: tuple[int, int], size: tuple[int, int]) -> Self:
        """Plan how an image becomes another size. A crop keeps the largest centered part of the new proportions."""
        height, width = original_size
        if fit == "resize":
            return cls(fit, original_size, (0, 0, width, height), size)
        scale = min(height / size[0], width / size[1])
        high = min(height, max(1, round(size[0] * scale)))
        wide = min(width, max(1, round(size[1] * scale)))
        left, top = (width - wide) // 2, (height - high) // 2
        return cls(fit, original_size, (left, top, left + wide, top + high), size)

    @classmethod
    def from_provenance(cls, entry: Mapping[str, Any]) -> Self:
        """Return the fitting that `provenance` describes, also after it was stored as JSON."""
        left, top, right, bottom = entry["box"]
        (height, width), (new_height, new_width) = entry["original_size"], entry["size"]
        return cls(
            entry["choice"], (height, width), (left, top, right, bottom), (new_height, new_width)
        )

    def provenance(self) -> dict[str, Any]:
        """Return a description for provenance: choice, original size, box, and size."""
        return {
            "choice": self.fit,
            "original_size": list(self.original_size),
            "box": list(self.box),
            "size": list(self.size),
        }

    def apply(self, image: Image) -> Image:
        """Fit an upright RGB image, with Lanczos resampling.

        Parameters
        ----------
        image
            An image of the original size, or one that is that image at a smaller scale.
        """
        from PIL import Image as PillowImage

        box, (height, width) = self.box, self.size
        if image.size != self.original_size[::-1]:
            across, down = image.width / self.original_size[1], image.height / self.original_size[0]
            left, top, right, bottom = (
                round(side * scale) for side, scale in zip(box, (across, down) * 2, strict=True)
            )
            box = (left, top, max(right, left + 1), max(bottom, top + 1))
        cropped = image if box == (0, 0, *image.size) else image.crop(box)
        if cropped.size == (width, height):
            return cropped.copy() if cropped is image else cropped
        return cropped.resize((width, height), PillowImage.Resampling.LANCZOS)
