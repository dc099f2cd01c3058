"""Images whose pixels stand beside each other among the queries: the image that is drawn, and reference images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from daam_syntax.attention.families.grids import fitting
from daam_syntax.attention.families.layouts import CallSizes, TokenLayout
from daam_syntax.attention.softmax.transfers import ReadOnce
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


@dataclass(frozen=True)
class PackedImages:
    """The grids of images whose pixels follow each other, each row by row.

    Attributes
    ----------
    grids
        Rows and columns of each image, in the order of the pixels.
    target
        Which of them is drawn. The others are references.
    """

    grids: tuple[Grid, ...]
    target: int

    @property
    def grid(self) -> Grid:
        """Rows and columns of the image that is drawn."""
        return self.grids[self.target]

    @property
    def references(self) -> tuple[Grid, ...]:
        """Rows and columns of the reference images."""
        return tuple(grid for number, grid in enumerate(self.grids) if number != self.target)

    def layout(self, pixels: slice, text: slice) -> TokenLayout:
        """Return the layout of an attention call in which the pixels of all images are consecutive queries.

        Raises
        ------
        TraceError
            If the images together have another number of pixels.
        """
        sizes = [height * width for height, width in self.grids]
        ends = list(itertools.accumulate(sizes, initial=pixels.start))
        if ends[-1] != pixels.stop:
            raise TraceError(
                f"Expected {pixels.stop - pixels.start} pixels among the queries, but the model's inputs describe "
                f"images of {' and '.join(f'{height}x{width}' for height, width in self.grids)} cells, which are "
                f"{sum(sizes)}: register a Family that describes the other queries."
            )
        parts = [slice(*bounds) for bounds in itertools.pairwise(ends)]
        target = parts.pop(self.target)
        return TokenLayout(target, text, tuple(parts))


def after_text(sizes: CallSizes, images: PackedImages) -> TokenLayout | None:
    """Return the layout of joint attention in which the pixels of several images follow the text."""
    if sizes.queries != sizes.keys or sizes.keys <= sizes.text:
        return None
    return images.layout(slice(sizes.text, sizes.keys), slice(0, sizes.text))


def images_of_ids(inputs: Mapping[str, Any]) -> PackedImages:
    """Return the images that the position ids ``(t, y, x, ...)`` of packed latents describe.

    Raises
    ------
    TraceError
        If the ids do not number the pixels of each image row by row, or not exactly one image is at time 0.
    """
    return _images_of(inputs["img_ids"])


def _read_ids(ids: Tensor) -> PackedImages:
    rows = ids.detach().reshape(-1, *ids.shape[-2:]).to("cpu", torch.int64)
    time, y, x = rows[0, :, :3].T
    starts = [0, *(torch.nonzero(time[1:] != time[:-1]).flatten() + 1).tolist()]
    parts = [slice(*ends) for ends in itertools.pairwise([*starts, len(time)])]
    grids = [_numbered_grid(y[part], x[part]) for part in parts]
    targets = [number for number, start in enumerate(starts) if not time[start]]
    if len(targets) != 1 or None in grids or not torch.equal(rows, rows[:1].expand_as(rows)):
        raise TraceError(
            "Expected position ids (img_ids) that number the pixels of the image row by row, at time 0, and those of "
            "each reference image at a time of its own, the same in every row of the batch, but they do not: register "
            "a Family that describes which pixels are those of the image."
        )
    return PackedImages(tuple(grid for grid in grids if grid is not None), targets[0])


_images_of = ReadOnce(_read_ids)


def _numbered_grid(y: Tensor, x: Tensor) -> Grid | None:
    """Return the grid whose cells are numbered row by row; None if the numbers are others."""
    height, width = int(y.max()) + 1, int(x.max()) + 1
    expected = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    found = torch.stack([y, x], dim=-1)
    return (height, width) if torch.equal(expected.reshape(-1, 2), found) else None


def images_of_shapes(inputs: Mapping[str, Any]) -> PackedImages:
    """Return the images that the shapes ``(frame, y, x)`` of packed latents describe; the first is drawn.

    Raises
    ------
    TraceError
        If an image has several frames, or several layers are drawn.
    """
    if inputs.get("additional_t_cond") is not None:
        raise TraceError(
            "Expected a model that draws one image, but this one draws several layers of it at once "
            "(additional_t_cond), which cannot be traced: use another Qwen-Image pipeline."
        )
    shapes = inputs["img_shapes"][0]
    shapes = shapes if isinstance(shapes, list) else [shapes]
    if any(frames != 1 for frames, *_ in shapes):
        raise TraceError(
            f"Expected images of one frame each, but img_shapes are {shapes}, as (frames, y, x): register a Family "
            "that describes the frames."
        )
    return PackedImages(tuple((int(height), int(width)) for _, height, width in shapes), 0)


Images = Callable[[Mapping[str, Any]], PackedImages]
"""A function that returns the images that the denoiser's inputs describe."""


@dataclass(frozen=True)
class PackedLatents:
    """The parts of a `Family` whose pixels are packed latents after the text, perhaps with reference images.

    Attributes
    ----------
    images
        Returns the images, given the denoiser's inputs.
    """

    images: Images

    def layout(self, sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
        """Return the layout of joint attention, see `Family`."""
        return after_text(sizes, self.images(inputs))

    def grid(self, pipe: Any, inputs: Mapping[str, Any], n_pixels: int) -> Grid | None:
        """Return the grid of the image that is drawn, see `Family`."""
        return fitting(self.images(inputs).grid, n_pixels)

    def image_size(self, pipe: Any, inputs: Mapping[str, Any]) -> Grid:
        """Return the size of the image that is drawn, see `Family`."""
        return _decoded(pipe, self.images(inputs).grid)

    def references(self, pipe: Any, inputs: Mapping[str, Any]) -> list[tuple[Grid, Grid]]:
        """Return the grids and sizes of the reference images, see `Family`."""
        return [(grid, _decoded(pipe, grid)) for grid in self.images(inputs).references]


def _decoded(pipe: Any, grid: Grid) -> Grid:
    """Return the size of an image of which each cell is 2 x 2 latents."""
    side = 2 * int(pipe.vae_scale_factor)
    return grid[0] * side, grid[1] * side
