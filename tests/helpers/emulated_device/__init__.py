"""Emulate an accelerator on a computer without one.

Inside `emulated_device`, tensors can be moved to ``cuda:0`` and further devices. They say that they are there, but
their numbers stay in main memory, and the same kernels as without the emulation compute with them. Results are
therefore equal to the bit, and only that differs which code has to care about on a real device:

- operators on tensors of several devices raise;
- each operation for which the host has to wait is counted by line;
- copies to main memory that the host does not wait for have wrong values, until it waits for their stream;
- memory on the devices is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from helpers.emulated_device.accelerator import Accelerator, Wait
from helpers.emulated_device.functions import FunctionMode
from helpers.emulated_device.operators import OperatorMode
from helpers.emulated_device.tensor import EmulatedTensor

__all__ = ["Accelerator", "EmulatedTensor", "Wait", "emulated_device"]


@contextmanager
def emulated_device(
    kind: str = "cuda", n_devices: int = 2, n_bytes: int = 2**33
) -> Iterator[Accelerator]:
    """Emulate accelerators until the block is left.

    Parameters
    ----------
    kind
        "cuda" or "mps".
    n_devices
        Number of devices.
    n_bytes
        Memory of each device.
    """
    accelerator = Accelerator(kind, n_devices, n_bytes)
    with ExitStack() as stack:
        for target, replaced in _replacements(accelerator).items():
            stack.enter_context(patch.multiple(target, **replaced))
        stack.enter_context(OperatorMode(accelerator))
        stack.enter_context(FunctionMode(accelerator))
        yield accelerator


class _Stream:
    """The stream of a device."""

    def __init__(self, accelerator: Accelerator, device: torch.device | None) -> None:
        self._accelerator, self._device = accelerator, device

    def synchronize(self) -> None:
        self._accelerator.synchronize(self._device)


def _replacements(accelerator: Accelerator) -> dict[str, dict[str, Any]]:
    """Return what replaces attributes of modules, by module."""
    generator = {"Generator": _generator_class(accelerator)}
    if accelerator.kind == "mps":
        return {
            "torch": generator,
            "torch.backends.mps": {"is_available": lambda: True},
            "torch.mps": {"synchronize": accelerator.synchronize, "empty_cache": lambda: None},
        }
    return {"torch": generator, "torch.cuda": _cuda(accelerator)}


def _cuda(accelerator: Accelerator) -> dict[str, Any]:
    streams = {
        n: _Stream(accelerator, torch.device("cuda", n)) for n in range(accelerator.n_devices)
    }

    def current_stream(device: Any = None) -> _Stream:
        found = accelerator.device("cuda" if device is None else device)
        return streams[found.index if found else 0]

    def set_sync_debug_mode(mode: Any) -> None:
        accelerator.warns = mode in (1, "warn")

    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: accelerator.n_devices,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "Emulated GPU",
        "current_stream": current_stream,
        "synchronize": accelerator.synchronize,
        "mem_get_info": accelerator.free_and_total,
        "memory_allocated": accelerator.allocated,
        "memory_reserved": accelerator.reserved,
        "max_memory_allocated": accelerator.peak,
        "reset_peak_memory_stats": accelerator.reset_peak,
        "empty_cache": lambda: None,
        "get_sync_debug_mode": lambda: int(accelerator.warns),
        "set_sync_debug_mode": set_sync_debug_mode,
    }


def _generator_class(accelerator: Accelerator) -> type:
    original = torch.Generator

    class Generator(original):  # type: ignore[valid-type, misc]
        """A generator of a device, whose random numbers are those of the host."""

        def __new__(cls, device: Any = "cpu") -> Any:
            place = accelerator.device(device)
            made = original.__new__(cls if place else original, "cpu")
            if place:
                made.place = place
            return made

        def __init__(self, device: Any = "cpu") -> None:
            pass

        @property
        def device(self) -> torch.device:
            return self.place

    return Generator
