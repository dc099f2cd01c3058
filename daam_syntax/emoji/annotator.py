"""The annotator: a small segmentation network that finds the objects in an image.

It replaces the human annotators of Tang et al. (2023), but only for images of the embedded model: it was trained on
nothing except emoji scenes. The model card reports its error rates; correct for them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from daam_syntax.emoji.scenes import IMAGE_SIZE
from daam_syntax.emoji.vocabulary import COLORS, NOUNS
from daam_syntax.errors import FileError
from daam_syntax.util.data_files import data_path

NOUN_CLASSES: Final = ("", *NOUNS)
"""Names of the noun classes by number; class 0 is the background."""

COLOR_CLASSES: Final = ("", "own color", *COLORS)
"""Names of the color classes by number; "own color" is the class of untinted sprites."""

READING_SIZE: Final = 64
"""Pixels along each side of the images that the network reads; its classes are enlarged to `IMAGE_SIZE`."""

MIN_AREA: Final = 80
"""Number of pixels that a noun must cover to count as present: half the area of the smallest sprite."""


class SegmentationNet(nn.Module):
    """A U-Net at half resolution that classifies each pixel by noun and by color.

    Parameters
    ----------
    widths
        Channels at 1/2, 1/4, and 1/8 of the side of the image.
    """

    def __init__(self, widths: Sequence[int] = (48, 96, 160)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * 4, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.down.append(nn.Conv2d(narrow, wide, 3, stride=2, padding=1))
            self.up.append(nn.Conv2d(wide + narrow, narrow, 3, padding=1))
        self.encoders = nn.ModuleList(_Residual(width) for width in widths)
        self.middle = nn.Sequential(*(_Residual(widths[-1]) for _ in range(2)))
        self.decoders = nn.ModuleList(_Residual(width) for width in widths[:-1])
        classes = len(NOUN_CLASSES) + len(COLOR_CLASSES)
        self.head = nn.Conv2d(widths[0], classes * 4, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Classify every pixel.

        Parameters
        ----------
        images
            Pixels in [-1, 1]; the sides are divisible by 8. *Shape:* ``(image, 3, y, x)``.

        Returns
        -------
        nouns, colors
            Logits. *Shape:* ``(image, class, y, x)``.
        """
        x = self.encoders[0](self.stem(nn.functional.pixel_unshuffle(images, 2)))
        skips = []
        for down, encode in zip(self.down, list(self.encoders)[1:], strict=True):
            skips.append(x)
            x = encode(down(x))
        x = self.middle(x)
        levels = zip(reversed(self.up), reversed(self.decoders), reversed(skips), strict=True)
        for up, decode, skip in levels:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = decode(up(torch.cat([x, skip], dim=1)))
        logits = nn.functional.pixel_shuffle(self.head(x), 2)
        n = len(NOUN_CLASSES)
        return logits[:, :n], logits[:, n:]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


@dataclass(frozen=True)
class Annotation:
    """The annotation of one image.

    Attributes
    ----------
    nouns
        Noun class of every pixel (see `NOUN_CLASSES`), uint8. *Shape:* ``(y, x)``.
    colors
        Color class of every pixel (see `COLOR_CLASSES`), uint8. *Shape:* ``(y, x)``.
    """

    nouns: np.ndarray
    colors: np.ndarray

    def mask(self, noun: str) -> np.ndarray:
        """Return the mask of a noun, bool. *Shape:* ``(y, x)``."""
        if noun not in NOUNS:
            raise ValueError(f"Expected one of the embedded world's nouns, but got {noun!r}.")
        return np.asarray(self.nouns == NOUN_CLASSES.index(noun))

    def present(self, min_area: int = MIN_AREA) -> dict[str, int]:
        """Return the nouns that cover at least `min_area` pixels, with their areas, largest first."""
        areas = np.bincount(self.nouns.ravel(), minlength=len(NOUN_CLASSES))
        order = np.argsort(-areas, kind="stable")
        return {NOUN_CLASSES[c]: int(areas[c]) for c in order if c and areas[c] >= min_area}

    def color(self, noun: str) -> str | None:
        """Return the most frequent color of a noun's pixels, or None if the noun is absent."""
        pixels = self.colors[self.mask(noun)]
        pixels = pixels[pixels > 0]
        if not len(pixels):
            return None
        return COLOR_CLASSES[int(np.bincount(pixels).argmax())]


class Annotator:
    """Segment images of the embedded model.

    Parameters
    ----------
    network
        A trained `SegmentationNet`.
    """

    def __init__(self, network: SegmentationNet) -> None:
        self._network = network.eval().float()

    @property
    def network(self) -> SegmentationNet:
        """The network, in 32 bits."""
        return self._network

    @classmethod
    def load(cls, folder: Path | None = None) -> Annotator:
        """Load the shipped annotator, or the one in `folder`."""
        return _load(folder or data_path("emoji-annotator"))

    def __call__(self, images: Sequence[Image.Image]) -> list[Annotation]:
        """Annotate images of any size, which are read at `READING_SIZE`; annotations have `IMAGE_SIZE`."""
        side = (READING_SIZE, READING_SIZE)
        enlarged = np.ones((IMAGE_SIZE // READING_SIZE,) * 2, dtype=np.uint8)
        annotations: list[Annotation] = []
        for start in range(0, len(images), 32):
            batch = [image.convert("RGB") for image in images[start : start + 32]]
            batch = [
                image if image.size == side else image.resize(side, Image.Resampling.BOX)
                for image in batch
            ]
            pixels = torch.from_numpy(np.stack([np.asarray(image) for image in batch]))
            with torch.no_grad():
                nouns, colors = self._network(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
            for noun, color in zip(nouns.argmax(1), colors.argmax(1), strict=True):
                annotations.append(
                    Annotation(
                        np.kron(noun.numpy().astype(np.uint8), enlarged),
                        np.kron(color.numpy().astype(np.uint8), enlarged),
                    )
                )
        return annotations


@cache
def _load(folder: Path) -> Annotator:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
        network = SegmentationNet(config["widths"])
        network.load_state_dict({name: w.float() for name, w in weights.items()})
    except Exception as error:
        raise FileError(
            f"Expected an annotator (config.json, model.safetensors) in {folder}, but reading it "
            f"failed: {error}. Reinstall daam-syntax, or train it again."
        ) from error
    return Annotator(network)
