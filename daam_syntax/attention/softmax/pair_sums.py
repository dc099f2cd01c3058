"""Running sums of attention between groups of tokens, or between cells of an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from daam_syntax.errors import TraceError
from daam_syntax.maps.kept_maps import AXES, Axis


def pooled(values: Tensor, group_of: Tensor, n_groups: int, dim: int) -> Tensor:
    """Sum values over the members of each group along one axis.

    Not by matrix products, which may round to fewer bits (see `logits`).

    Parameters
    ----------
    values
        Any numbers.
    group_of
        Number of the group of each entry of the axis.
    n_groups
        Number of groups.
    dim
        The axis.
    """
    shape = list(values.shape)
    shape[dim] = n_groups
    return values.new_zeros(shape).index_add_(dim, group_of.to(values.device), values)


class PairSums:
    """Sums of square arrays ``([head], query, key)`` by step and layer, for one image.

    Parameters
    ----------
    keep
        The axes to keep; the others are averaged.
    """

    def __init__(self, keep: Sequence[Axis] = ()) -> None:
        self.keep = tuple(keep)
        self._sums: dict[tuple[int, str], Tensor] = {}
        self._calls: Counter[tuple[int, str]] = Counter()

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        return sum(total.nbytes for total in self._sums.values())

    @property
    def layers(self) -> list[str]:
        """Paths of the layers, in the order in which they ran; [""] if layers are not kept."""
        return list(dict.fromkeys(layer for _, layer in self._sums))

    def add(self, step: int, layer: str, values: Tensor) -> None:
        """Add one call.

        Parameters
        ----------
        step, layer
            Number of the step and path of the layer; ignored if that axis is not kept.
        values
            *Shape:* ``(query, key)``, or ``(head, query, key)`` if heads are kept.
        """
        place = (step if "step" in self.keep else 0, layer if "layer" in self.keep else "")
        self._calls[place] += 1
        if place not in self._sums:
            self._sums[place] = values.clone()
        else:
            total = self._sums[place]
            total += values.to(total.device)  # a model may be spread over several devices

    def move_to_host(self) -> None:
        """Move the sums to main memory, which frees that of the accelerator."""
        self._sums = {place: total.cpu() for place, total in self._sums.items()}

    def mean(self, timesteps: Sequence[float], names: Sequence[str]) -> xr.DataArray:
        """Return the means, dims ``([step], [layer], [head], *names)``.

        Parameters
        ----------
        timesteps
            The timesteps of all steps of the pipeline call.
        names
            Names of the last two dims.

        Raises
        ------
        TraceError
            If some layers ran more often than others, so an axis cannot be kept, or attention is not finite.
        """
        steps = sorted({step for step, _ in self._sums})
        even = (
            len(self._sums) == len(steps) * len(self.layers) and len(set(self._calls.values())) == 1
        )
        if self.keep and not even:
            raise TraceError(
                f"Expected every layer to run equally often in every step, to keep the axes {', '.join(self.keep)}: "
                "disable features that skip or repeat blocks, or trace without keep=."
            )
        means = {place: total / self._calls[place] for place, total in self._sums.items()}
        values = torch.stack(
            [torch.stack([means[s, layer] for layer in self.layers]) for s in steps]
        )
        if torch.isinf(values).any():
            raise TraceError(
                "Expected finite attention, but it is not: the model overflowed its number format. Use another one, "
                "e.g. pipe.to(torch.float32) or torch.bfloat16."
            )
        values = values if "layer" in self.keep else values[:, 0]
        values = values if "step" in self.keep else values[0]
        coordinates: dict[str, Any] = {}
        if "layer" in self.keep:
            coordinates["layer"] = self.layers
        if "step" in self.keep:
            coordinates |= {"step": steps, "timestep": ("step", [timesteps[s] for s in steps])}
        dims = [*(axis for axis in AXES if axis in self.keep), *names]
        return xr.DataArray(values.double().cpu().numpy(), dims=dims, coords=coordinates)
