"""Running sums of attention during a pipeline call; memory grows only with the axes that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.attention.softmax.transfers import HostCopies
from daam_syntax.errors import TraceError
from daam_syntax.maps.kept_maps import (
    Axis,
    KeptMaps,
    LayerMaps,
    finest_grid,
    frozen,
    mean_of_layers,
)
from daam_syntax.maps.selection import Grid


class LayerSums:
    """Running sums of attention probabilities.

    A layer stores one number per image, pixel of its own grid and token, for any number of calls. Keeping steps or
    attention heads multiplies this. If steps or heads are kept, but not layers, the layers of the finest grid share
    one sum. Layers of other grids cannot share it: they still have to be resized, and negative values from resizing
    are clipped layer by layer.

    Parameters
    ----------
    keep
        The axes to keep, in order. If there are any, sums are stored in main memory, not on the accelerator.
    is_signed
        Whether values may be negative, as those of similarities, so that resizing does not clamp them.
    """

    def __init__(self, keep: Sequence[Axis] = (), *, is_signed: bool = False) -> None:
        self.keep = tuple(keep)
        self._is_signed = is_signed
        self._sums: dict[int, dict[str, Tensor]] = {}  # step, layer: (row, [head], query, token)
        self._calls: Counter[tuple[int, str]] = Counter()
        self._grids: dict[str, Grid] = {}
        self._leader: dict[str, str] = {}  # the layer that holds each layer's sum
        self._copies = HostCopies()
        self._arriving: list[tuple[str, int, Tensor]] = []

    @property
    def grids(self) -> dict[str, Grid]:
        """Maps the module path of each recorded layer to its grid ``(y, x)``."""
        return dict(self._grids)

    @property
    def steps(self) -> list[int]:
        """Sorted numbers of the recorded steps; [0] if steps are not kept."""
        return sorted(self._sums)

    @property
    def device(self) -> torch.device | None:
        """The device of the sums; None before anything was added."""
        for sums in self._sums.values():
            for total in sums.values():
                return total.device
        return None

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        arrived = sum(total.nbytes for sums in self._sums.values() for total in sums.values())
        return arrived + sum(probabilities.nbytes for _, _, probabilities in self._arriving)

    def add(self, layer: str, grid: Grid, probabilities: Tensor, step: int = 0) -> None:
        """Add the probabilities of one call of a layer.

        Parameters
        ----------
        layer
            Path of the module.
        grid
            Rows and columns of its pixel grid.
        probabilities
            Probabilities with ``grid[0] * grid[1]`` queries, row by row. *Shape:* ``(row, query, token)``, or
            ``(row, head, query, token)`` if heads are kept
        step
            Number of the step; ignored if steps are not kept.
        """
        step = step if "step" in self.keep else 0
        self._calls[step, layer] += 1
        self._grids[layer] = grid
        if self.keep and probabilities.device.type != "cpu":
            self._arriving.append((layer, step, self._copies.copy(probabilities)))
        else:
            self._add(layer, step, probabilities)

    def _add(self, layer: str, step: int, probabilities: Tensor) -> None:
        leader = self._leader.get(layer, layer)
        sums = self._sums.setdefault(step, {})
        if leader in sums:
            sums[leader] += probabilities
        else:
            sums[leader] = probabilities.clone()

    def settle(self) -> None:
        """Finish the additions of a denoiser call, whose copies to main memory may still be on their way."""
        self._copies.wait()
        for layer, step, probabilities in self._arriving:
            self._add(layer, step, probabilities)
        self._arriving.clear()
        self._join_layers()

    def move_to_host(self) -> None:
        """Move the sums to main memory, which frees that of the accelerator."""
        for sums in self._sums.values():
            for layer, total in sums.items():
                sums[layer] = total.cpu()

    def _join_layers(self) -> None:
        """Merge the sums of the layers of the finest grid. After a denoiser call, all grids are known."""
        if not self.keep or "layer" in self.keep or self._leader or not self._grids:
            return
        finest = finest_grid(self._grids.values())
        first, *others = (layer for layer, grid in self._grids.items() if grid == finest)
        self._leader = dict.fromkeys(others, first)
        for sums in self._sums.values():
            for layer in others:
                sums[first] += sums.pop(layer)

    def mean_maps(self) -> NDArray[np.float32]:
        """Average over calls and layers, if no axis is kept.

        The mean over the calls of each layer comes first, then the mean over layers on the finest recorded grid, see
        `mean_of_layers`.

        Returns
        -------
        NDArray
            Mean probabilities. *Shape:* ``(row, token, y, x)``

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
        return mean_of_layers(parts, is_signed=self._is_signed)

    def mean_of_layer(self, layer: str) -> Tensor:
        """Return the mean over the calls of one layer, on its own grid, if no axis is kept.

        *Shape:* ``(row, query, token)``
        """
        return self._sums[0][layer] / self._calls[0, layer]

    def finest_maps(self) -> NDArray[np.float32]:
        """Average over steps, attention heads and the layers of the finest grid.

        Returns
        -------
        NDArray
            Mean probabilities. *Shape:* ``(row, token, y, x)``

        Raises
        ------
        TraceError
            If a layer's attention is not finite.
        """
        finest = finest_grid(self._grids.values())
        parts = []
        for leader, layers in self._layers_by_leader().items():
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
        """Return the maps of one image with the axes that are kept.

        Parameters
        ----------
        row
            Index of the image.
        tokens
            Indices of the tokens.
        timesteps
            The timesteps of all steps of the pipeline call, recorded or not.

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
        for leader, layers in self._layers_by_leader().items():
            n_calls = sum(self._calls[self.steps[0], layer] for layer in layers)
            by_step = [_finite(leader, self._sums[step][leader][row]) for step in self.steps]
            summed = torch.stack(by_step)[..., list(tokens)]
            mean = (summed / n_calls).unflatten(-2, self._grids[leader]).numpy()
            values = xr.DataArray(mean if "step" in self.keep else mean[0], dims=dims)
            parts.append(LayerMaps(layers, frozen(values.assign_coords(coordinates))))
        return KeptMaps(parts, keeps_layers="layer" in self.keep, is_signed=self._is_signed)

    def _layers_by_leader(self) -> dict[str, tuple[str, ...]]:
        """Group the layers that share a sum, by the layer that holds it."""
        by_leader: dict[str, tuple[str, ...]] = {}
        for layer in self._grids:
            leader = self._leader.get(layer, layer)
            by_leader[leader] = (*by_leader.get(leader, ()), layer)
        return by_leader

    def _check_even(self) -> None:
        """Raise if some layers ran more often than others, which would bias the mean over an axis."""
        everywhere = len(self._calls) == len(self._sums) * len(self._grids)
        if not everywhere or len(set(self._calls.values())) > 1:
            counts = Counter(layer for _, layer in self._calls.elements())
            raise TraceError(
                f"Expected every layer to run equally often in every step, to keep the axes {', '.join(self.keep)}, "
                f"but got these call counts: {'; '.join(f'{layer} {n}' for layer, n in counts.items())}. "
                "Disable features that skip or repeat blocks (caches, layer guidance), or trace without keep=."
            )


def _finite(layer: str, summed: Tensor) -> Tensor:
    if not torch.isfinite(summed).all():
        raise TraceError(
            f"Expected finite attention, but {layer} has NaN: the model overflowed its number format. "
            "Use another one, e.g. pipe.to(torch.float32) or torch.bfloat16."
        )
    return summed
