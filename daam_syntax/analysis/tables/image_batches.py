"""Maps of several images where they are compared: upscaled once for all tables, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import numpy as np

from daam_syntax.maps import HeatMaps, Threshold, bicubic, each_image
from daam_syntax.maps.measures import PackedMasks

Size = Literal["image", "grid"] | tuple[int, int]
"""Where maps are compared: at the image's size, on the recording's grid, or at (height, width)."""

_PIXELS_AT_ONCE: Final = 2**23  # 32 megabytes of maps; measuring them takes a few times as much
_PIXELS_IN_CACHE: Final = 2**20


@dataclass
class Batch:
    """Images whose words' maps have one size.

    Attributes
    ----------
    numbers
        Their places in the list that is measured.
    images
        Their maps as recorded.
    recorded
        The recorded maps of all their words, float32, shape (word, y, x), one image after the other.
    size
        Height and width at which they are compared.
    rows
        For each image, index of a word in the parse to its row in `recorded`; words without a map are not there.
    """

    numbers: Sequence[int]
    images: Sequence[HeatMaps]
    recorded: np.ndarray
    size: tuple[int, int]
    rows: Sequence[dict[int, int]]
    _masks: dict[Threshold, PackedMasks] = field(default_factory=dict)

    @cached_property
    def words(self) -> np.ndarray:
        """The maps of all words at the size at which they are compared; made when first asked for."""
        return bicubic(self.recorded, self.size)

    def masks(self, rule: Threshold) -> PackedMasks:
        """Return the masks of `words` at a threshold; they are made once."""
        self.make_masks([rule])
        return self._masks[rule]

    def make_masks(self, rules: Sequence[Threshold]) -> None:
        """Make the masks at several thresholds, so that maps are upscaled once for all of them."""
        missing = [rule for rule in rules if rule not in self._masks]
        if not missing:
            return
        parts: dict[Threshold, list[PackedMasks]] = {rule: [] for rule in missing}
        # A few maps at a time: they stay in the cache, and no memory is taken for all.
        n = max(1, _PIXELS_IN_CACHE // (self.size[0] * self.size[1]))
        for start in range(0, max(1, len(self.recorded)), n):
            some = slice(start, start + n)
            there = "words" in self.__dict__
            maps = self.words[some] if there else bicubic(self.recorded[some], self.size)
            for rule, made in parts.items():
                made.append(PackedMasks(rule.apply(maps)))
        self._masks |= {rule: PackedMasks.joined(made) for rule, made in parts.items()}


def batches(maps: HeatMaps | Sequence[HeatMaps], size: Size = "image") -> Iterator[Batch]:
    """Yield the images in order, as many at once as have one size and fit into some memory.

    Raises
    ------
    ValueError
        If the size is none.
    TypeError
        If something else than maps is among them.
    """
    waiting: list[tuple[int, HeatMaps]] = []
    pixels = 0
    for number, image in enumerate(each_image(maps)):
        target = _pixels(image, size)
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
    return maps.grid, _pixels(maps, size)


def _pixels(maps: HeatMaps, size: Size) -> tuple[int, int]:
    """Return the height and width that a size means for an image."""
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
    return Batch(numbers, maps, recorded, _pixels(maps[0], size), rows)
