"""Operators on tensors of emulated devices: which devices may meet, and what the host waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.emulated_device.accelerator import Accelerator
from helpers.emulated_device.tensor import EmulatedTensor

_WAITS = {
    "_local_scalar_dense": "item",
    **{
        name: name
        for name in (
            "equal",
            "nonzero",
            "masked_select",
            "_unique2",
            "unique_dim",
            "unique_consecutive",
            "bincount",
        )
    },
}
_INDEXING = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_")


class OperatorMode(TorchDispatchMode):
    """Runs each operator on the numbers in main memory, after checking that a device could run it."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self._accelerator = accelerator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = [*_leaves((args, kwargs))]
        tensors = [leaf for leaf in leaves if isinstance(leaf, EmulatedTensor)]
        device = self._accelerator.device(kwargs.get("device"))
        if device is None and tensors:
            device = tensors[0].device
        elif device is None and not any(isinstance(leaf, Tensor) for leaf in leaves):
            device = self._accelerator.ambient if _creates(func) else None
        if device is None:
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        if name == "copy_":
            return self._copy(*args, **kwargs)
        if name == "_to_copy" and not tensors:
            kwargs["device"] = "cpu"
            waits = not kwargs.pop("non_blocking", False)
            return self._accelerator.to_device(
                func(*args, **kwargs), device, non_blocking=not waits
            )
        if tensors:
            self._check_devices(name, args, kwargs, leaves)
            self._count_waits(name, args, kwargs)
        return self._run(func, args, kwargs, leaves, device)

    def _run(
        self, func: Any, args: Any, kwargs: Any, leaves: list[Any], device: torch.device
    ) -> Any:
        known = {
            id(leaf.held): leaf for leaf in reversed(leaves) if isinstance(leaf, EmulatedTensor)
        }
        args, kwargs = _mapped(_held, (args, kwargs))
        self._check_aliases(kwargs, args)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        found = func(*args, **kwargs)

        def wrapped(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) not in known:
                return self._accelerator.wrap(value, device)
            if value.shape != known[id(value)].shape:
                raise NotImplementedError(f"{func} changes the shape of an emulated tensor")
            return known[id(value)]

        return _mapped(wrapped, found)

    def _check_devices(
        self, name: str, args: Sequence[Any], kwargs: dict[str, Any], leaves: list[Any]
    ) -> None:
        """Refuse tensors of several devices, except single numbers and indices in main memory."""
        devices = {leaf.device for leaf in leaves if isinstance(leaf, EmulatedTensor)}
        generators = [leaf for leaf in leaves if isinstance(leaf, torch._C.Generator)]
        if name in _INDEXING:
            if not isinstance(args[0], EmulatedTensor):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
                )
            leaves = [*_leaves((args[0], args[2:], kwargs))]
        is_list = any(isinstance(arg, list | tuple) for arg in args[:1])  # cat, stack
        devices |= {
            leaf.device
            for leaf in leaves
            if isinstance(leaf, Tensor)
            and not isinstance(leaf, EmulatedTensor)
            and (leaf.ndim > 0 or is_list)
        }
        if len(devices) > 1:
            found = " and ".join(sorted(map(str, devices)))
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {found}! "
                f"(when checking arguments of {name})"
            )
        if any(each.device.type == "cpu" for each in generators):
            raise RuntimeError(
                f"Expected a '{self._accelerator.kind}' device type for generator but found 'cpu'"
            )

    def _check_aliases(self, kwargs: dict[str, Any], args: Sequence[Any]) -> None:
        out = kwargs.get("out")
        if self._accelerator.kind != "mps" or not isinstance(out, Tensor):
            return
        inputs = [leaf for leaf in _leaves(args) if isinstance(leaf, Tensor)]
        if any(out.data_ptr() == each.data_ptr() for each in inputs):
            raise RuntimeError("MPS kernels do not promise to work with an input as their output")

    def _count_waits(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if name in _WAITS:
            self._accelerator.wait(_WAITS[name])
        elif name == "repeat_interleave" and kwargs.get("output_size") is None:
            self._accelerator.wait("repeat_interleave without output_size")
        elif name in _INDEXING:
            indices = [each for each in args[1] if each is not None]
            for each in indices:
                if not isinstance(each, EmulatedTensor):
                    self._accelerator.wait("index from the host")
            is_fill = name.startswith("index_put") and args[2].numel() == 1
            if not is_fill and any(each.dtype in (torch.bool, torch.uint8) for each in indices):
                self._accelerator.wait("boolean index")

    def _copy(self, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        to, of = _held(target), _held(source)
        if isinstance(target, EmulatedTensor):
            if not isinstance(source, EmulatedTensor) and not non_blocking:
                self._accelerator.wait("copy to the device")
            to.copy_(of)
        elif isinstance(source, EmulatedTensor):
            self._accelerator.arrive(to, of, source.device, waits=not non_blocking)
        else:
            to.copy_(of)
        return target


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, EmulatedTensor) else leaf


def _creates(func: Any) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


def _leaves(value: Any) -> Iterator[Any]:
    """Return the tensors and other values in arguments."""
    if isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Change the tensors and other values in arguments or results."""
    if isinstance(value, list | tuple):
        return type(value)([_mapped(change, part) for part in value])
    if isinstance(value, dict):
        return {name: _mapped(change, part) for name, part in value.items()}
    return change(value)
