"""Refine word maps by propagating them along self-attention.

The refined value of a pixel is the mean of the word's map, weighted by the pixel's self-attention: ``R = A M``. `A` is
the self-attention of the finest grid, whose rows sum to 1, and `M` the word maps of the same grid. Wang et al. (2023,
DiffSegmenter) and Nguyen et al. (2023, Dataset Diffusion) do the same. Then the minimum of each subword map is
subtracted, because averaging raises the background. In joint attention, where pixels attend to text and pixels in one
softmax, `A` is the part between pixels, with rows divided by their sums.

Applying `A` once and subtracting the minimum was the best of a few variants on 32 scenes of the embedded emoji world.
``python -m benchmarks.attribution`` compares refined maps on other scenes with plain maps, and with maps of the finest
grid without self-attention, which ``trace(layers=...)`` provides. On this model most of the gain comes from the choice
of layers. Whether self-attention helps a larger model has to be measured on that model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.maps.selection import Grid


class SelfAttention:
    """A running mean of self-attention over heads, steps and the layers of the finest grid.

    Attributes
    ----------
    grid
        Rows and columns of the finest grid so far; None if nothing was added.
    layers
        Paths of the modules that were added, in order.
    """

    def __init__(self) -> None:
        self.grid: Grid | None = None
        self.layers: list[str] = []
        self._sum: Tensor | None = None
        self._n_calls = 0

    @property
    def device(self) -> torch.device | None:
        """The device of the sum; None before anything was added."""
        return None if self._sum is None else self._sum.device

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        return 0 if self._sum is None else self._sum.nbytes

    def add(self, layer: str, grid: Grid, probabilities: Tensor) -> None:
        """Add one call of a layer. A layer with a finer grid discards the previous ones.

        Parameters
        ----------
        layer
            Path of the module.
        grid
            Rows and columns of its pixel grid.
        probabilities
            Attention from each pixel to each pixel. *Shape:* ``(row, pixel, pixel)``
        """
        if grid != self.grid:
            self.grid, self.layers, self._sum, self._n_calls = grid, [], None, 0
        # A model may be spread over several devices.
        self._sum = (
            probabilities
            if self._sum is None
            else self._sum.add_(probabilities.to(self._sum.device))
        )
        self._n_calls += 1
        if layer not in self.layers:
            self.layers.append(layer)

    def move_to_host(self) -> None:
        """Move the sum to main memory, which frees that of the accelerator."""
        if self._sum is not None:
            self._sum = self._sum.cpu()

    def takes(self, grid: Grid) -> bool:
        """Whether a layer with this grid is used, which requires that no layer with a finer grid was added."""
        return self.grid is None or math.prod(grid) >= math.prod(self.grid)

    def mean(self) -> NDArray[np.float32]:
        """Return the mean attention from each pixel to each pixel.

        Returns
        -------
        NDArray
            Rows sum to 1; pixels are ordered row by row. *Shape:* ``(row, pixel, pixel)``
        """
        assert self._sum is not None, "a finished pipeline call has recorded self-attention"
        mean = (self._sum / self._n_calls).cpu().numpy()
        return np.asarray(mean / mean.sum(axis=-1, keepdims=True))

    def describe(self) -> dict[str, Any]:
        """Return how maps are refined, for their provenance."""
        return {
            "by": "self-attention, applied once; each subword's minimum subtracted",
            "grid": list(self.grid or ()),
            "self_attention": list(self.layers),
        }


def refine(maps: np.ndarray, attention: np.ndarray) -> NDArray[np.float32]:
    """Propagate maps along self-attention, and subtract the minimum of each map.

    Parameters
    ----------
    maps
        Word maps. *Shape:* ``(row, token, y, x)``
    attention
        Self-attention with rows that sum to 1. *Shape:* ``(row, pixel, pixel)``

    Returns
    -------
    NDArray
        Refined maps, non-negative. *Shape:* ``(row, token, y, x)``
    """
    flat = maps.reshape(*maps.shape[:2], -1)
    refined = np.matmul(flat, attention.swapaxes(-1, -2))
    refined -= refined.min(axis=-1, keepdims=True)
    return refined.reshape(maps.shape).astype(np.float32, copy=False)
