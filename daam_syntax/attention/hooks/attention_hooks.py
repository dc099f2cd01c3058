"""Listening to the attention of a model, and, for an intervention, answering in its place.

Each attention module gets a forward pre-hook and a forward hook. Between the two, a
`torch.overrides.TorchFunctionMode` sees the calls of `scaled_dot_product_attention` that the
module's own processor makes, and lets them run (see `attend`). No processor, class or function is
replaced. Only where an `OutputOverride` is given may the model be handed something else than its call
returned.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from daam_syntax.attention.hooks.logsumexp import attend
from daam_syntax.attention.softmax.probabilities import AttentionCall

OutputOverride = Callable[[str, AttentionCall, Tensor, Tensor], Tensor]
"""What to hand to the model instead of an attention call's output.

A function of the module's path, the call, its values, *shape* (row, key head, key, feature), and
its output, *shape* (row, head, query, feature); it returns the output itself, or another one of the
same shape.
"""


class AttentionCallbacks(Protocol):
    """Who is told what the tap hears, in this order."""

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Take the arguments of a call of the denoiser, before it runs."""

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Take the attention calls that a module made, after it ran."""

    def denoiser_returned(self) -> None:
        """Note that the denoiser's call ended well."""


class AttentionHooks:
    """Hooks on a denoiser and on its text attentions, which tell a listener what they hear.

    Only calls from the thread that attached the tap are heard.

    Parameters
    ----------
    denoiser
        The model.
    attentions
        Its text-attention modules by their path.
    listener
        Who is told.
    answer
        What the model is handed instead of what its attention calls return; None to change nothing.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        attentions: Mapping[str, nn.Module],
        listener: AttentionCallbacks,
        answer: OutputOverride | None = None,
    ) -> None:
        self._denoiser = denoiser
        self._attentions = attentions
        self._listener = listener
        self._signature = inspect.signature(type(denoiser).forward)
        self._handles: list[RemovableHandle] = []
        self._thread: int | None = None
        self._hearing = _Hearing(answer)

    def attach(self) -> None:
        """Register the hooks."""
        self._thread = threading.get_ident()
        self._handles += [
            self._denoiser.register_forward_pre_hook(self._before_denoiser, with_kwargs=True),
            self._denoiser.register_forward_hook(self._after_denoiser),
        ]
        for path, module in self._attentions.items():
            self._handles += [
                module.register_forward_pre_hook(self._before_attention(path)),
                # Of several taps, the last that began to hear is the first to end.
                module.register_forward_hook(
                    self._after_attention(path), prepend=True, always_call=True
                ),
            ]

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._hearing.stop_all()

    def _is_foreign(self) -> bool:
        return threading.get_ident() != self._thread

    def _before_denoiser(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._is_foreign():
            return
        # A keyboard interrupt skips even the hooks that are always called.
        self._hearing.stop_all()
        self._listener.denoiser_called(self._signature.bind(module, *args, **kwargs).arguments)

    def _after_denoiser(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if not self._is_foreign():
            self._listener.denoiser_returned()

    def _before_attention(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not self._is_foreign():
                self._hearing.start(path)

        return hook

    def _after_attention(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: object) -> None:
            if self._is_foreign():
                return
            calls = self._hearing.stop(path)
            failed = output is None  # the hook is called after an exception, too
            if not failed:
                self._listener.attention_ran(path, module, calls)

        return hook


class _Hearing(TorchFunctionMode):
    """Collects the attention calls of the innermost module for which it was started."""

    def __init__(self, answer: OutputOverride | None) -> None:
        super().__init__()
        self._answer = answer
        self._heard: list[tuple[str, list[AttentionCall]]] = []  # innermost module last

    def start(self, path: str) -> None:
        if not self._heard:
            self.__enter__()
        self._heard.append((path, []))

    def stop(self, path: str) -> list[AttentionCall]:
        if not self._heard or self._heard[-1][0] != path:
            return []  # the module failed before it was started
        _, calls = self._heard.pop()
        if not self._heard:
            self.__exit__(None, None, None)
        return calls

    def stop_all(self) -> None:
        while self._heard:
            self.stop(self._heard[-1][0])

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        output, logsumexp = attend(args, kwargs)
        path, calls = self._heard[-1]
        calls.append(AttentionCall.from_arguments(args, kwargs, logsumexp))
        if self._answer is None:
            return output
        value = args[2] if len(args) > 2 else kwargs["value"]
        return self._answer(path, calls[-1], value, output)
