"""Summing attention up while a model draws, in memory that does not grow with the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.errors import TraceError
from daam_syntax.maps.resize import bicubic

Grid = tuple[int, int]
"""Rows and columns (y, x) of a layer's pixels."""

LayerSelection = Callable[[str, Grid], bool] | Sequence[str | int] | str | int | None
"""Which layers to record.

None for all; a function of a module's path and grid; or a sequence of which one entry must fit,
where a string fits every path that contains it and a number every grid with that many rows.
"""


def layer_selector(layers: LayerSelection) -> Callable[[str, Grid], bool]:
    """Turn a selection of layers into a function of a module's path and grid."""
    if layers is None:
        return lambda path, grid: True
    if callable(layers):
        return layers
    entries = [layers] if isinstance(layers, str | int) else list(layers)
    return lambda path, grid: any(
        entry in path if isinstance(entry, str) else entry == grid[0] for entry in entries
    )


class LayerSums:
    """Running sums of attention probabilities, one for each layer.

    A layer keeps one number per image, pixel of its own grid and token, however often it is added
    to.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}  # (row, query, token)
        self._calls: dict[str, int] = {}
        self._grids: dict[str, Grid] = {}

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid (y, x) of each recorded layer, by the module's path."""
        return dict(self._grids)

    @property
    def n_numbers(self) -> int:
        """How many numbers are stored."""
        return sum(total.numel() for total in self._sums.values())

    def add(self, layer: str, grid: Grid, probabilities: Tensor) -> None:
        """Add what a layer attended to in one call.

        Parameters
        ----------
        layer
            The module's path.
        grid
            Its rows and columns.
        probabilities
            *Shape:* (row, query, token), with ``grid[0] * grid[1]`` queries, row by row
        """
        if layer in self._sums:
            self._sums[layer] += probabilities
            self._calls[layer] += 1
        else:
            self._sums[layer] = probabilities.clone()
            self._calls[layer] = 1
            self._grids[layer] = grid

    def mean_maps(self) -> NDArray[np.float32]:
        """Average over calls and layers.

        Each layer's mean over its calls is resized to the finest grid that was recorded, by bicubic
        interpolation cut off at 0; then the layers are averaged, all with the same weight.

        Returns
        -------
        NDArray
            Mean probabilities. *Shape:* (row, token, y, x)

        Raises
        ------
        TraceError
            If a layer's attention is not finite.
        """
        finest = max(self._grids.values(), key=lambda grid: grid[0] * grid[1])
        total: NDArray[Any] | float = 0.0
        for layer, summed in self._sums.items():
            if not torch.isfinite(summed).all():
                raise TraceError(
                    f"Expected finite attention, but {layer} has NaN: the model overflowed its "
                    "number format. Draw in another one, e.g. pipe.to(torch.float32) or "
                    "torch.bfloat16."
                )
            grid = self._grids[layer]
            mean = (summed / self._calls[layer]).transpose(1, 2).unflatten(-1, grid).cpu().numpy()
            total = total + (mean if grid == finest else bicubic(mean, finest))
        return np.asarray(total / len(self._sums), dtype=np.float32)
