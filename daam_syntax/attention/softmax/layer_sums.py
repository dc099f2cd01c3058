"""Summing attention up while a model draws, in memory that grows only with what is kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.errors import TraceError
from daam_syntax.maps.kept_maps import (
    Axis,
    KeptMaps,
    LayerMaps,
    finest_grid,
    frozen,
    mean_of_layers,
)
from daam_syntax.maps.selection import Grid, LayerSelection, layer_selector

__all__ = ["Grid", "LayerSelection", "LayerSums", "layer_selector"]


class LayerSums:
    """Running sums of attention probabilities.

    A layer keeps one number per image, pixel of its own grid and token, however often it is added to;
    steps and heads that are kept apart multiply this. Where steps or heads are kept, but not layers,
    the layers of the finest grid share one sum. (Those of other grids cannot: they have yet to be
    resized, and what resizing brings below 0 is cut off layer by layer.)

    Parameters
    ----------
    keep
        The axes that are kept apart, in order. With any, sums are in the machine's memory, not in
        the accelerator's.
    """

    def __init__(self, keep: Sequence[Axis] = ()) -> None:
        self.keep = tuple(keep)
        self._sums: dict[int, dict[str, Tensor]] = {}  # step, layer: (row, [head], query, token)
        self._calls: Counter[tuple[int, str]] = Counter()
        self._grids: dict[str, Grid] = {}
        self._leader: dict[str, str] = {}  # of a layer: the one in whose sum it is

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid (y, x) of each recorded layer, by the module's path."""
        return dict(self._grids)

    @property
    def steps(self) -> list[int]:
        """The numbers of the recorded steps, in order; [0] where they are not kept apart."""
        return sorted(self._sums)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(total.nbytes for sums in self._sums.values() for total in sums.values())

    def add(self, layer: str, grid: Grid, probabilities: Tensor, step: int = 0) -> None:
        """Add what a layer attended to in one call.

        Parameters
        ----------
        layer
            The module's path.
        grid
            Its rows and columns.
        probabilities
            *Shape:* (row, query, token), or (row, head, query, token) where heads are kept apart,
            with ``grid[0] * grid[1]`` queries, row by row
        step
            The step's number; it does not matter where steps are not kept apart.
        """
        if self.keep:
            probabilities = probabilities.cpu()
        step = step if "step" in self.keep else 0
        leader = self._leader.get(layer, layer)
        sums = self._sums.setdefault(step, {})
        if leader in sums:
            sums[leader] += probabilities
        else:
            sums[leader] = probabilities.clone()
        self._calls[step, layer] += 1
        self._grids[layer] = grid

    def join_layers(self) -> None:
        """Let the layers of the finest grid share a sum from now on, once all grids are known."""
        if not self.keep or "layer" in self.keep or self._leader or not self._grids:
            return
        finest = finest_grid(self._grids.values())
        first, *others = (layer for layer, grid in self._grids.items() if grid == finest)
        self._leader = dict.fromkeys(others, first)
        for sums in self._sums.values():
            for layer in others:
                sums[first] += sums.pop(layer)

    def mean_maps(self) -> NDArray[np.float32]:
        """Average over calls and layers, where no axis is kept.

        Each layer's mean over its calls is taken; then the layers are averaged on the finest grid
        that was recorded, see `mean_of_layers`.

        Returns
        -------
        NDArray
            Mean probabilities. *Shape:* (row, token, y, x)

        Raises
        ------
        TraceError
            If a layer's attention is not finite.
        """
        (sums,) = self._sums.values()
        parts = []
        for layer, grid in self._grids.items():
            summed = _finite(layer, sums[layer])
            mean = (summed / self._calls[0, layer]).transpose(-1, -2).unflatten(-1, grid)
            parts.append((mean.cpu().numpy(), 1))
        return mean_of_layers(parts)

    def finest_maps(self) -> NDArray[np.float32]:
        """Average over everything that is recorded of the finest grid, whatever is kept.

        Returns
        -------
        NDArray
            Mean probabilities. *Shape:* (row, token, y, x)

        Raises
        ------
        TraceError
            If a layer's attention is not finite.
        """
        finest = finest_grid(self._grids.values())
        parts = []
        for leader, layers in self._led().items():
            if self._grids[leader] != finest:
                continue
            by_step = [_finite(leader, self._sums[step][leader]) for step in self.steps]
            summed = torch.stack(by_step).sum(dim=0)
            if "head" in self.keep:
                summed = summed.mean(dim=1)
            n_calls = sum(self._calls[step, layer] for step in self.steps for layer in layers)
            mean = (summed / n_calls).transpose(-1, -2).unflatten(-1, finest)
            parts.append((mean.cpu().numpy(), len(layers)))
        return mean_of_layers(parts)

    def kept_maps(self, row: int, tokens: Sequence[int], timesteps: Sequence[float]) -> KeptMaps:
        """Return one image's maps with the axes that are kept.

        Parameters
        ----------
        row
            The image.
        tokens
            Which tokens.
        timesteps
            The timesteps of all steps of the drawing, recorded or not.

        Raises
        ------
        TraceError
            If some layers ran more often than others, or their attention is not finite.
        """
        self._check_even()
        coordinates: dict[str, object] = {}
        if "step" in self.keep:
            numbers = np.array(self.steps)
            coordinates["step"] = numbers
            coordinates["timestep"] = ("step", np.array(timesteps)[numbers])
            coordinates["progress"] = ("step", numbers / len(timesteps))
        inner = [axis for axis in ("step", "head") if axis in self.keep]
        dims = [*inner, "y", "x", "token"]
        parts = []
        for leader, layers in self._led().items():
            n_calls = sum(self._calls[self.steps[0], layer] for layer in layers)
            by_step = [_finite(leader, self._sums[step][leader][row]) for step in self.steps]
            summed = torch.stack(by_step)[..., list(tokens)]
            mean = (summed / n_calls).unflatten(-2, self._grids[leader]).numpy()
            values = xr.DataArray(mean if "step" in self.keep else mean[0], dims=dims)
            parts.append(LayerMaps(layers, frozen(values.assign_coords(coordinates))))
        return KeptMaps(parts, keeps_layers="layer" in self.keep)

    def _led(self) -> dict[str, tuple[str, ...]]:
        """Return the layers that share a sum, by the first of them."""
        led: dict[str, tuple[str, ...]] = {}
        for layer in self._grids:
            leader = self._leader.get(layer, layer)
            led[leader] = (*led.get(leader, ()), layer)
        return led

    def _check_even(self) -> None:
        """Refuse layers that ran more often than others: the mean over an axis would be skewed."""
        everywhere = len(self._calls) == len(self._sums) * len(self._grids)
        if not everywhere or len(set(self._calls.values())) > 1:
            counts = Counter(layer for _, layer in self._calls.elements())
            raise TraceError(
                "Expected every layer to run equally often in every step, to keep "
                f"{', '.join(self.keep)} apart, but they ran so often: "
                f"{'; '.join(f'{layer} {n}' for layer, n in counts.items())}. Switch off what skips "
                "or repeats blocks (caches, layer guidance), or trace without keep=."
            )


def _finite(layer: str, summed: Tensor) -> Tensor:
    if not torch.isfinite(summed).all():
        raise TraceError(
            f"Expected finite attention, but {layer} has NaN: the model overflowed its "
            "number format. Draw in another one, e.g. pipe.to(torch.float32) or "
            "torch.bfloat16."
        )
    return summed
