"""Batches of images whose maps are upscaled once for all tables, in a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import numpy as np

from daam_syntax.maps import HeatMaps, Threshold, bicubic, each_image
from daam_syntax.maps.measures import PackedMasks

Size = Literal["image", "grid"] | tuple[int, int]
"""Size at which maps are compared: that of the image, that of the recording's grid, or (height, width)."""

_PIXELS_AT_ONCE: Final = 2**23  # 32 megabytes of maps; measuring them takes several times as much
_PIXELS_IN_CACHE: Final = 2**20


@dataclass
class Batch:
    """Images whose maps have one size.

    Attributes
    ----------
    numbers
        Positions of the images in the list of all images.
    images
        Their heat maps as recorded.
    recorded
        Recorded maps of all their words, float32, one image after the other. *Shape:* ``(word, y, x)``.
    size
        Height and width at which the maps are compared.
    rows
        For each image, the row in `recorded` of each word by its index in the parse, without words that have no map.
    """

    numbers: Sequence[int]
    images: Sequence[HeatMaps]
    recorded: np.ndarray
    size: tuple[int, int]
    rows: Sequence[dict[int, int]]
    _masks: dict[Threshold, PackedMasks] = field(default_factory=dict)

    @cached_property
    def words(self) -> np.ndarray:
        """Maps of all words at the size of the comparison, computed on first use."""
        return bicubic(self.recorded, self.size)

    def masks(self, rule: Threshold) -> PackedMasks:
        """Return the masks of `words` under a threshold rule, computed once."""
        self.make_masks([rule])
        return self._masks[rule]

    def make_masks(self, rules: Sequence[Threshold]) -> None:
        """Compute the masks under several rules, upscaling maps once for all of them."""
        missing = [rule for rule in rules if rule not in self._masks]
        if not missing:
            return
        parts: dict[Threshold, list[PackedMasks]] = {rule: [] for rule in missing}
        # A few maps at a time stay in the processor's cache and need little memory.
        n = max(1, _PIXELS_IN_CACHE // (self.size[0] * self.size[1]))
        for start in range(0, max(1, len(self.recorded)), n):
            some = slice(start, start + n)
            computed = "words" in self.__dict__
            maps = self.words[some] if computed else bicubic(self.recorded[some], self.size)
            for rule, made in parts.items():
                made.append(PackedMasks(rule.apply(maps)))
        self._masks |= {rule: PackedMasks.joined(made) for rule, made in parts.items()}


def batches(maps: HeatMaps | Sequence[HeatMaps], size: Size = "image") -> Iterator[Batch]:
    """Yield the images in order, in batches of one size that fit into limited memory.

    Raises
    ------
    ValueError
        If the size is not valid.
    TypeError
        If an item is not `HeatMaps`.
    """
    waiting: list[tuple[int, HeatMaps]] = []
    pixels = 0
    for number, image in enumerate(each_image(maps)):
        target = pixel_size(image, size)
        needed = len(image.mapped) * target[0] * target[1]
        if waiting and (
            _shapes(image, size) != _shapes(waiting[0][1], size)
            or pixels + needed > _PIXELS_AT_ONCE
        ):
            yield _batch(waiting, size)
            waiting, pixels = [], 0
        waiting.append((number, image))
        pixels += needed
    if waiting:
        yield _batch(waiting, size)


def _shapes(maps: HeatMaps, size: Size) -> tuple[tuple[int, int], tuple[int, int]]:
    return maps.grid, pixel_size(maps, size)


def pixel_size(maps: HeatMaps, size: Size) -> tuple[int, int]:
    """Return the height and width of an image's maps at a size."""
    if size == "image":
        return maps.image_size
    if size == "grid":
        return maps.grid
    if not isinstance(size, tuple | list) or len(size) != 2 or min(size) < 1:
        raise ValueError(f'Expected size "image", "grid" or (height, width), but got {size!r}.')
    return size[0], size[1]


def _batch(images: Sequence[tuple[int, HeatMaps]], size: Size) -> Batch:
    numbers, maps = zip(*images, strict=True)
    recorded = np.concatenate([image.stack() for image in maps])
    rows, first = [], 0
    for image in maps:
        rows.append({index: first + row for row, index in enumerate(image.mapped)})
        first += len(rows[-1])
    return Batch(numbers, maps, recorded, pixel_size(maps[0], size), rows)
