"""Timesteps of denoiser calls, which stay on the accelerator until someone needs their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor


class Timesteps(Sequence[float]):
    """The timesteps of denoiser calls, in order.

    Reading a number from an accelerator makes the host wait for it, which would slow down every step. The values are
    therefore fetched together when one of them is first needed.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._waiting: list[Tensor] = []  # the last ones; on an accelerator

    def append(self, timestep: Any) -> None:
        """Add the timestep of a denoiser call: a number, or a tensor of which the first number is used."""
        if not isinstance(timestep, Tensor) or timestep.device.type == "cpu":
            self.fetch()
            self._values.append(float(torch.as_tensor(timestep, device="cpu").flatten()[0]))
        else:
            self._waiting.append(timestep.detach().flatten()[0].clone())

    def distinct(self) -> list[float]:
        """Return the distinct timesteps, in order."""
        return list(dict.fromkeys(self))

    def fetch(self) -> None:
        """Read the values that are still on an accelerator, and free them there."""
        waiting, self._waiting = self._waiting, []
        if len({(each.device, each.dtype) for each in waiting}) > 1:
            self._values += [float(each) for each in waiting]
        elif waiting:
            self._values += map(float, torch.stack(waiting).tolist())

    def __len__(self) -> int:
        return len(self._values) + len(self._waiting)

    def __iter__(self) -> Iterator[float]:
        self.fetch()
        return iter(self._values)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        self.fetch()
        return self._values[index]
