"""Functions of torch that create tensors on emulated devices, or move them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _device as default_device

from helpers.emulated_device.accelerator import Accelerator
from helpers.emulated_device.tensor import EmulatedTensor, moved

_FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray)
_UNCHANGED = (
    "__get__",
    "__set__",
    "__delete__",
    "_parse_to",
)  # properties, and a parser of arguments


class FunctionMode(TorchFunctionMode):
    """Replaces emulated devices in the arguments of torch's functions, which a build for CPUs refuses."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self._accelerator = accelerator

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.device or getattr(func, "__name__", "") in _UNCHANGED:
            return func(*args, **kwargs)
        if func is torch._has_compatible_shallow_copy_type:
            # So that modules replace their parameters when they are moved.
            return not any(isinstance(arg, EmulatedTensor) for arg in args) and func(*args)
        if func in (torch.Tensor.to, torch.Tensor.type_as):
            return self._moved(func, args, kwargs)
        if func is torch.Tensor.cuda:
            return moved(args[0], self._accelerator, *(args[1:] or ("cuda",)), **kwargs)
        return self._created(func, args, kwargs)

    def _moved(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
        places = [*args[1:2], kwargs.get("device"), kwargs.get("other")]
        if any(self._is_here(place) for place in places):
            return moved(args[0], self._accelerator, *args[1:], **kwargs)
        found: Tensor = func(*args, **kwargs)
        return found

    def _is_here(self, place: Any) -> bool:
        if isinstance(place, Tensor | int):
            return isinstance(place, EmulatedTensor | int)
        is_name = isinstance(place, str | torch.device)
        return is_name and self._accelerator.device(place) is not None

    def _created(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given = next((each for each in _tensors(args, kwargs)), None)
        device = kwargs.get("device")
        if device is None and func in default_device._device_constructors():
            device = default_device.CURRENT_DEVICE
        if func in _FROM_DATA and isinstance(args[0], EmulatedTensor):
            place, dtype = device or args[0].device, kwargs.get("dtype") or args[0].dtype
            copies = func is torch.tensor
            return moved(args[0].detach(), self._accelerator, place, dtype, copy=copies)
        if func in _FROM_DATA:
            args = (self._read(args[0]), *args[1:])
        target = None if device is None else self._accelerator.device(device)
        if target is None and given is None:
            return func(*args, **kwargs)
        if device is None:
            assert given is not None
            with self._accelerator.creating_on(given.device):
                return func(*args, **kwargs)
        return self._placed(func, args, kwargs, target)

    def _read(self, data: Any) -> Any:
        """Read the single numbers on devices among the data of a new tensor."""
        if isinstance(data, list | tuple):
            return [self._read(part) for part in data]
        if isinstance(data, EmulatedTensor):
            self._accelerator.wait("item")
            return data.held
        return data

    def _placed(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], target: torch.device | None
    ) -> Any:
        generator = kwargs.get("generator")
        if target is not None and generator is not None and generator.device.type != target.type:
            raise RuntimeError(
                f"Expected a '{target.type}' device type for generator but found '{generator.device.type}'"
            )
        made = func(*args, **{**kwargs, "device": "cpu"})
        held = made.held if isinstance(made, EmulatedTensor) else made
        if target is None:
            return held
        if func in _FROM_DATA:
            return moved(held, self._accelerator, target)
        return self._accelerator.wrap(held, target)


def _tensors(args: Sequence[Any], kwargs: dict[str, Any]) -> list[EmulatedTensor]:
    found: list[EmulatedTensor] = []
    for arg in (*args, *kwargs.values()):
        parts = arg if isinstance(arg, list | tuple) else (arg,)
        found += [part for part in parts if isinstance(part, EmulatedTensor)]
    return found
