"""Tensors that say that they are on an accelerator, and hold their numbers in main memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

if TYPE_CHECKING:
    from helpers.emulated_device.accelerator import Accelerator


@contextmanager
def real() -> Iterator[None]:
    """Run torch as if nothing was emulated."""
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        yield


class EmulatedTensor(torch.Tensor):
    """A tensor of an emulated device.

    For torch's own code, which chooses kernels, it is a tensor in main memory: each operator runs with the same kernel
    as without the emulation. Python code sees the emulated device.

    Attributes
    ----------
    held
        The numbers.
    """

    held: Tensor
    accelerator: Accelerator
    _place: torch.device

    @staticmethod
    def __new__(cls, data: Tensor, requires_grad: bool = True) -> Tensor:
        """Make a parameter, as `torch.nn.Parameter`: libraries call the class of a module's parameter."""
        return torch.nn.Parameter(data, requires_grad=requires_grad)

    @classmethod
    def of(cls, held: Tensor, device: torch.device, accelerator: Accelerator) -> EmulatedTensor:
        """Let numbers in main memory appear on a device."""
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device("cpu"),
            requires_grad=False,
        )
        tensor.held, tensor._place, tensor.accelerator = held, device, accelerator
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"a tensor of an emulated device outlived the emulation ({func})")

    @property
    def device(self) -> torch.device:
        return self._place

    @property
    def is_cuda(self) -> bool:
        return self._place.type == "cuda"

    @property
    def is_mps(self) -> bool:
        return self._place.type == "mps"

    @property
    def is_cpu(self) -> bool:
        return False

    def get_device(self) -> int:
        return int(self._place.index)

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        return moved(self, self.accelerator, *args, **kwargs)

    def cpu(self, memory_format: Any = None) -> Tensor:
        return moved(self, self.accelerator, "cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        return moved(self, self.accelerator, "cuda" if device is None else device, non_blocking)

    def type_as(self, other: Tensor) -> Tensor:
        return moved(self, self.accelerator, other)

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device)

    def tolist(self) -> Any:
        with real():
            return self.accelerator.to_host(self.held, self.device, non_blocking=False).tolist()

    def numpy(self, *, force: bool = False) -> Any:
        self._refuse_numpy()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse_numpy()

    def _refuse_numpy(self) -> NoReturn:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        with real():
            copied = self.accelerator.wrap(self.held.clone(), self.device)
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, requires_grad=self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"EmulatedTensor({tuple(self.shape)}, {self.dtype}, {self.device})"


def moved(tensor: Tensor, accelerator: Accelerator, *args: Any, **kwargs: Any) -> Tensor:
    """Do what `Tensor.to` does, between main memory and emulated devices, too."""
    copies = kwargs.pop("copy", False)
    if args and isinstance(args[0], int):
        args = (torch.device(accelerator.kind, args[0]), *args[1:])
    other = args[0] if args and isinstance(args[0], Tensor) else kwargs.pop("other", None)
    if other is not None:
        args = (other.device, other.dtype, *args[1:])
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
    held = tensor.held if isinstance(tensor, EmulatedTensor) else tensor
    target = accelerator.device(tensor.device if device is None else device)
    with real():
        form = {} if layout is None else {"memory_format": layout}
        value = held.to(dtype or held.dtype, copy=copies, **form)
        if isinstance(tensor, EmulatedTensor) and target == tensor.device:
            return tensor if value is held else accelerator.wrap(value, target)
        if isinstance(tensor, EmulatedTensor) and target is not None:
            return accelerator.wrap(value.clone(), target)  # between devices
        if isinstance(tensor, EmulatedTensor):
            value = accelerator.to_host(value, tensor.device, non_blocking=non_blocking)
            return value.to(device)
        if target is not None:
            return accelerator.to_device(value, target, non_blocking=non_blocking)
        return tensor.to(*args, copy=copies, **kwargs)
