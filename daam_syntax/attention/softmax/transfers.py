"""Copies between an accelerator and main memory that do not make the host wait for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

T = TypeVar("T")


def indices(positions: Iterable[int], device: torch.device) -> Tensor:
    """Return positions as a tensor on a device.

    A list as an index would be copied there, too, but with the host waiting until the device has finished its work.
    """
    on_host = torch.tensor(list(positions), dtype=torch.int64, device="cpu")
    return on_host.to(device, non_blocking=device.type == "cuda")


class HostCopies:
    """Copies of tensors in main memory, which may be read after `wait`."""

    def __init__(self) -> None:
        self._streams: set[torch.cuda.Stream] = set()

    def copy(self, tensor: Tensor) -> Tensor:
        """Return a copy in main memory.

        Copies from CUDA devices are started in order with the model's own work, into memory that the device can write
        to directly; other devices copy at once.
        """
        if tensor.device.type != "cuda":
            return tensor.cpu()
        self._streams.add(torch.cuda.current_stream(tensor.device))
        return tensor.to("cpu", non_blocking=True)

    def wait(self) -> None:
        """Wait until all copies are complete."""
        for stream in self._streams:
            stream.synchronize()
        self._streams.clear()


class ReadOnce(Generic[T]):
    """Reads what a tensor says once, though a pipeline passes it in every step.

    Parameters
    ----------
    read
        Returns what a tensor says.
    """

    def __init__(self, read: Callable[[Tensor], T]) -> None:
        self._read = read
        self._known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __call__(self, tensor: Tensor) -> T:
        """Return what a tensor says, which is read again only if the tensor was changed."""
        version = None if tensor.is_inference() else tensor._version
        known = self._known.get(tensor)
        if known is None or known[0] != version:
            known = self._known[tensor] = (version, self._read(tensor))
        found: T = known[1]
        return found
