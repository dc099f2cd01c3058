"""Copies from an accelerator to main memory that do not make the host wait for each of them."""

from __future__ import annotations

import torch
from torch import Tensor


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
