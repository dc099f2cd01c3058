"""Hooks that observe the attention weights of a text encoder of transformers, whichever way it computes them.

While the encoder runs, a `torch.overrides.TorchFunctionMode` sees its calls of `scaled_dot_product_attention`, and, in
encoders that compute attention themselves (eager attention, which soft-capped logits need), the softmax of the logits.
The functions run unchanged. Hooks on the attention modules tell which of them is running.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from daam_syntax.attention.hooks.owned_hooks import OwnedHook, leave_mode, remove_hooks
from daam_syntax.attention.softmax.double_precision import in_64_bits, weights_of_row
from daam_syntax.attention.softmax.probabilities import AttentionCall

_SOFTMAX: Final = (functional.softmax, torch.softmax, Tensor.softmax)
_IMAGES: Final = ("vision", "visual")

RowWeights = Callable[[int], Iterator[Tensor]]
"""A function from a row of the batch to its attention weights, some heads at a time, *shape* ``(head, query, key)``."""


class EncoderHooks:
    """Hooks on a text encoder. Only calls from the thread that attached them are observed.

    Parameters
    ----------
    encoder
        The model.
    called
        Receives the arguments of each of its calls by name, and returns whether to observe that call.
    attended
        Receives the path of each attention module, its number of queries, and its weights by row. The weights are
        computed when they are asked for, which has to happen at once.
    """

    def __init__(
        self,
        encoder: nn.Module,
        called: Callable[[Mapping[str, Any]], bool],
        attended: Callable[[str, int, RowWeights], None],
    ) -> None:
        self._encoder = encoder
        self._attentions = attention_modules(encoder)
        self._called = called
        self._signature = inspect.signature(type(encoder).forward)
        self._mode = _SoftmaxObserver(attended)
        self._thread: int | None = None

    def attach(self) -> None:
        """Register the hooks."""
        self._thread = threading.get_ident()
        self._encoder.register_forward_pre_hook(OwnedHook(self, self._before), with_kwargs=True)
        self._encoder.register_forward_hook(
            OwnedHook(self, self._after), prepend=True, always_call=True
        )
        for path, module in self._attentions.items():
            module.register_forward_pre_hook(OwnedHook(self, self._entering(path)))
            module.register_forward_hook(OwnedHook(self, self._leaving), always_call=True)

    def detach(self) -> None:
        """Remove the hooks, also if `attach` was interrupted. Does nothing if they are removed already."""
        for module in (self._encoder, *self._attentions.values()):
            remove_hooks(module, self)
        self._mode.stop()

    def _is_foreign(self) -> bool:
        return threading.get_ident() != self._thread

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._is_foreign():
            return
        self._mode.stop()  # a keyboard interrupt skips even hooks with `always_call`
        if self._called(self._signature.bind(module, *args, **kwargs).arguments):
            self._mode.start()

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if not self._is_foreign():
            self._mode.stop()

    def _entering(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not self._is_foreign():
                self._mode.running.append(path)

        return hook

    def _leaving(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if not self._is_foreign() and self._mode.running:
            self._mode.running.pop()


def attention_modules(encoder: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a text encoder that are attention to text, by their path, also those around others."""
    return {
        path: module
        for path, module in encoder.named_modules()
        if path
        and "attention" in type(module).__name__.lower()
        and not any(part in path for part in _IMAGES)
    }


class _SoftmaxObserver(TorchFunctionMode):
    """Passes on the attention weights of the innermost module that is running."""

    def __init__(self, attended: Callable[[str, int, RowWeights], None]) -> None:
        super().__init__()
        self._attended = attended
        self.running: list[str] = []  # innermost module last

    def start(self) -> None:
        self.__enter__()

    def stop(self) -> None:
        self.running.clear()
        leave_mode(self)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not self.running:
            return output
        if func is functional.scaled_dot_product_attention:
            call = AttentionCall.from_arguments(args, kwargs).with_explicit_mask()
            if call.query.shape[-2] == call.key.shape[-2]:
                self._attended(
                    self.running[-1],
                    call.query.shape[-2],
                    functools.partial(weights_of_row, call),
                )
        elif func in _SOFTMAX and output.ndim == 4 and output.shape[-2] == output.shape[-1]:
            weights = output.detach()
            self._attended(
                self.running[-1], weights.shape[-1], lambda row: iter([in_64_bits(weights[row])])
            )
        return output
