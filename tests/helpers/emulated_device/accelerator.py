"""The emulated accelerator itself: its devices, memory and streams, and how often the host waited for it."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import daam_syntax
from helpers.emulated_device.tensor import EmulatedTensor, real

_HERE = str(Path(__file__).parent)
_PACKAGE = str(Path(daam_syntax.__file__).parent)
_TORCH = str(Path(torch.__file__).parent)
_LIBRARIES = ("diffusers", "transformers", "accelerate")


class Wait(NamedTuple):
    """Where and why the host waited. `library` is the innermost one that is neither torch nor this emulation."""

    library: str
    line: str
    kind: str


class Accelerator:
    """State of the emulated devices of one type.

    Attributes
    ----------
    waits
        How often the host waited for a device.
    ambient
        The device on which operators without tensors create theirs, while a function of a device's tensors runs.
    """

    def __init__(self, kind: str, n_devices: int, n_bytes: int) -> None:
        self.kind, self.n_devices, self.n_bytes = kind, n_devices, n_bytes
        self.waits: Counter[Wait] = Counter()
        self.ambient: torch.device | None = None
        self.warns = False
        self.cached = 0  # bytes that are reserved, but not allocated
        self._peaks: Counter[int] = Counter()
        self._allocated: Counter[int] = Counter()
        self._storages: dict[tuple[int, int], list[int]] = {}  # device, pointer: uses, bytes
        self._arriving: list[tuple[torch.device, Tensor, Tensor]] = []
        self._live: dict[weakref.ref[EmulatedTensor], tuple[int, int]] = {}  # device, pointer

    def device(self, device: Any) -> torch.device | None:
        """Return one of these devices, with its number; None for any other device."""
        if isinstance(device, int):
            device = torch.device(self.kind, device)
        device = torch.device(device) if device is not None else None
        if device is None or device.type != self.kind:
            return None
        index = device.index or 0
        if index >= self.n_devices:
            raise RuntimeError(f"{self.kind.upper()} error: invalid device ordinal")
        return torch.device(self.kind, index)

    def wrap(self, held: Tensor, device: torch.device) -> EmulatedTensor:
        """Let numbers in main memory appear on a device."""
        if self.kind == "mps" and held.dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        tensor = EmulatedTensor.of(held, device, self)
        storage = held.untyped_storage()
        place = (device.index, storage.data_ptr())
        self._live[weakref.ref(tensor, self._release)] = place
        uses = self._storages.setdefault(place, [0, storage.nbytes()])
        uses[0] += 1
        if uses[0] == 1:
            self._allocate(device.index, uses[1])
        return tensor

    def _allocate(self, index: int, n_bytes: int) -> None:
        self._allocated[index] += n_bytes
        self._peaks[index] = max(self._peaks[index], self._allocated[index])

    def _release(self, tensor: weakref.ref[EmulatedTensor]) -> None:
        place = self._live.pop(tensor)
        uses = self._storages[place]
        uses[0] -= 1
        if not uses[0]:
            self._allocate(place[0], -uses[1])
            del self._storages[place]

    @property
    def live(self) -> list[EmulatedTensor]:
        """All tensors on the devices."""
        return [tensor for each in list(self._live) if (tensor := each()) is not None]

    def allocated(self, device: Any = None) -> int:
        """Return how many bytes tensors take on a device."""
        return self._allocated[self._index(device)]

    def reserved(self, device: Any = None) -> int:
        """Return how many bytes are allocated, or kept for later."""
        return self.allocated(device) + self.cached

    def peak(self, device: Any = None) -> int:
        """Return the most bytes that were allocated since `reset_peak`."""
        return self._peaks[self._index(device)]

    def reset_peak(self, device: Any = None) -> None:
        """Start to measure the peak anew."""
        self._peaks[self._index(device)] = self.allocated(device)

    def free_and_total(self, device: Any = None) -> tuple[int, int]:
        """Return the free and all bytes of a device."""
        return self.n_bytes - self.reserved(device), self.n_bytes

    def _index(self, device: Any) -> int:
        found = self.device(self.kind if device is None else device)
        assert found is not None, f"{device} is not a {self.kind} device"
        return found.index

    def to_device(self, held: Tensor, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Copy from main memory to a device, which the host waits for unless it is told not to."""
        if not non_blocking:
            self.wait("copy to the device")
        return self.wrap(held.clone(), device)

    def to_host(self, held: Tensor, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Copy from a device to main memory. Without a wait the copy is wrong until someone waits for the stream."""
        value = held.clone()
        if not non_blocking:
            self.wait("copy to the host")
            return value
        host = _wrong(value)
        self._arriving.append((device, host, value))
        return host

    def arrive(self, host: Tensor, value: Tensor, device: torch.device, *, waits: bool) -> None:
        """Copy from a device into a tensor in main memory that exists already."""
        arrived = value.to(host.dtype).expand_as(host).clone()
        if waits:
            self.wait("copy to the host")
            host.copy_(arrived)
        else:
            host.copy_(_wrong(arrived))
            self._arriving.append((device, host, arrived))

    def synchronize(self, device: Any = None) -> None:
        """Wait until all copies from a device are complete."""
        self.wait("synchronize")
        index = self._index(device)
        arrived = [each for each in self._arriving if each[0].index == index]
        self._arriving = [each for each in self._arriving if each[0].index != index]
        with real():
            for _, host, value in arrived:
                host.copy_(value)

    def wait(self, kind: str) -> None:
        """Count that the host waits for a device."""
        library, line = _caller()
        self.waits[Wait(library, line, kind)] += 1
        if self.warns:
            frame = next(_frames())
            warnings.warn_explicit(
                "called a synchronizing CUDA operation",
                UserWarning,
                frame.f_code.co_filename,
                frame.f_lineno,
            )

    def waits_of(self, library: str) -> Counter[str]:
        """Count the waits of one library by line."""
        counted: Counter[str] = Counter()
        for wait, n in self.waits.items():
            if wait.library == library:
                counted[f"{wait.line} {wait.kind}"] += n
        return counted

    @contextmanager
    def creating_on(self, device: torch.device) -> Iterator[None]:
        """Create tensors on a device where a function does not say."""
        before, self.ambient = self.ambient, device
        try:
            yield
        finally:
            self.ambient = before


def _wrong(value: Tensor) -> Tensor:
    """Return a tensor without a single right number."""
    if value.dtype.is_floating_point or value.dtype.is_complex:
        return torch.full_like(value, float("nan"))
    return ~value


def _frames() -> Iterator[Any]:
    """Return the stack from the inside to the outside, without torch, this emulation, and modes that observe a call."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        is_mode = frame.f_code.co_name in ("__torch_function__", "__torch_dispatch__")
        if not is_mode and not frame.f_code.co_filename.startswith((_HERE, _TORCH)):
            yield frame
        frame = frame.f_back


def _caller() -> tuple[str, str]:
    for frame in _frames():
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            return "daam_syntax", f"{Path(path).relative_to(_PACKAGE)}:{frame.f_lineno}"
        for library in _LIBRARIES:
            if f"/{library}/" in path:
                return library, f"{path.partition(f'/{library}/')[2]}:{frame.f_lineno}"
        if not path.endswith("/contextlib.py"):
            return "other", f"{Path(path).name}:{frame.f_lineno}"
    raise AssertionError("code outside torch started this")
