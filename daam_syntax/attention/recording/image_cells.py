"""Attention between the cells of an image, which are blocks of pixels, so that it takes little memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from daam_syntax.attention.pipeline_call.memory import MAX_CELLS, cell_grid
from daam_syntax.attention.softmax.double_precision import in_64_bits
from daam_syntax.attention.softmax.pair_sums import pooled
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid, grid_name

MAX_PIXELS: Final = 2**14
"""Largest number of pixels of a layer, since the time grows with its square."""
_WEIGHTS_AT_ONCE: Final = 2**24


def cells_of_pixels(grid: Grid) -> Tensor:
    """Return the number of the cell of each pixel, row by row."""
    side, (_, width) = -(-max(grid) // MAX_CELLS), cell_grid(grid)
    y, x = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    return ((y // side) * width + x // side).flatten()


def check_pixels(path: str, grid: Grid) -> None:
    """Raise a `TraceError` for a layer with too many pixels."""
    if math.prod(grid) > MAX_PIXELS:
        raise TraceError(
            f"Expected at most {MAX_PIXELS} pixels, to record the attention from image to image, but {path} has "
            f"{math.prod(grid)} ({grid_name(grid)}): record other layers, for instance layers="
            f"{grid_name((grid[0] // 2, grid[1] // 2))!r}, or generate a smaller image."
        )


def attention_between_cells(
    weights: Callable[[slice], Tensor], grid: Grid, pixels: slice, n_keys: int
) -> Tensor:
    """Average the attention of the pixels of each cell, and sum the attention to the pixels of each cell.

    Parameters
    ----------
    weights
        Returns the weights of some queries, *shape* ``([head], query, key)``, given their slice.
    grid
        Rows and columns of the pixels.
    pixels
        Which queries are pixels; the first keys of `weights` are the pixels in the same order.
    n_keys
        Number of keys and heads together, to limit the memory at once.

    Returns
    -------
    Tensor
        In 64 bits where the device has them. *Shape:* ``([head], cell, cell)``
    """
    cells = cells_of_pixels(grid)
    n_cells = math.prod(cell_grid(grid))
    step = max(1, _WEIGHTS_AT_ONCE // n_keys)
    total: Tensor | None = None
    for first in range(0, len(cells), step):
        own = cells[first : first + step]
        part = weights(slice(pixels.start + first, pixels.start + first + len(own)))
        by_key = pooled(in_64_bits(part), cells, n_cells, -1)
        summed = pooled(by_key, own, n_cells, -2)
        total = summed if total is None else total + summed
    assert total is not None, "a grid has pixels"
    return total / torch.bincount(cells, minlength=n_cells).to(total.device)[:, None]
