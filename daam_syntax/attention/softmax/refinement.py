"""Refined maps: word maps that are carried along the self-attention of the same pass.

A pixel's refined value is the mean of the word's map over the pixels that it attends to itself,
``R = A M``, with `A` the self-attention of the finest grid (each row sums to 1) and `M` the maps of
the text attentions of that grid only. So do Wang et al. (2023, DiffSegmenter) and Nguyen et al. (2023,
Dataset Diffusion). Then each subword's least value is subtracted, since averaging lifts the background.

Where pixels attend to text and pixels in one softmax (joint attention), `A` is its part between pixels, divided
for each pixel by its sum.

One application of `A` and the subtraction were the best of a few variants on 32 scenes of the embedded
emoji world. On 200 other scenes with exact masks (``benchmarks/refined.py``), each kind of map at the
threshold and timesteps chosen on yet other scenes, refined maps have a higher mIoU than plain ones (by
0.043, 95 % interval 0.023 to 0.064), but not than maps of the finest grid without self-attention
(-0.007, -0.022 to 0.010), which ``trace(layers=...)`` gives: there, the choice of layers is all the gain.
Whether self-attention helps a larger model must be measured on it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.attention.softmax.layer_sums import Grid


class SelfAttention:
    """A running mean of self-attention over heads, steps and the layers of the finest grid.

    Attributes
    ----------
    grid
        Its rows and columns; None before anything was added.
    layers
        Paths of the modules that were added, in order.
    """

    def __init__(self) -> None:
        self.grid: Grid | None = None
        self.layers: list[str] = []
        self._sum: Tensor | None = None
        self._n_calls = 0

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return 0 if self._sum is None else self._sum.nbytes

    def add(self, layer: str, grid: Grid, shares: Tensor) -> None:
        """Add a layer's call; the first one of a finer grid displaces what was added before.

        Parameters
        ----------
        layer
            The module's path.
        grid
            Its rows and columns.
        shares
            What each pixel gives to each pixel. *Shape:* (row, pixel, pixel)
        """
        if grid != self.grid:
            self.grid, self.layers, self._sum, self._n_calls = grid, [], None, 0
        self._sum = shares if self._sum is None else self._sum.add_(shares)
        self._n_calls += 1
        if layer not in self.layers:
            self.layers.append(layer)

    def takes(self, grid: Grid) -> bool:
        """Whether a layer of this grid counts: no finer one was added."""
        return self.grid is None or math.prod(grid) >= math.prod(self.grid)

    def mean(self) -> NDArray[np.float32]:
        """Return the share that each pixel gives to each pixel of its attention to pixels.

        Returns
        -------
        NDArray
            Rows sum to 1. *Shape:* (row, pixel, pixel), pixels row by row
        """
        assert self._sum is not None, "a finished drawing that is refined was heard"
        mean = (self._sum / self._n_calls).cpu().numpy()
        return np.asarray(mean / mean.sum(axis=-1, keepdims=True))

    def describe(self) -> dict[str, Any]:
        """Say for the provenance how maps are refined."""
        return {
            "by": "self-attention, applied once; each subword's minimum subtracted",
            "grid": list(self.grid or ()),
            "self_attention": list(self.layers),
        }


def refine(maps: np.ndarray, attention: np.ndarray) -> NDArray[np.float32]:
    """Carry maps along self-attention, and subtract each map's least value.

    Parameters
    ----------
    maps
        *Shape:* (row, token, y, x)
    attention
        Rows that sum to 1. *Shape:* (row, pixel, pixel)

    Returns
    -------
    NDArray
        Non-negative. *Shape:* (row, token, y, x)
    """
    flat = maps.reshape(*maps.shape[:2], -1)
    carried = np.matmul(flat, attention.swapaxes(-1, -2))
    carried -= carried.min(axis=-1, keepdims=True)
    return carried.reshape(maps.shape).astype(np.float32, copy=False)
