"""Hooks that observe the attention calls of a model and, for an intervention, override their outputs.

Each attention module gets a forward pre-hook and a forward hook. Between them, a `torch.overrides.TorchFunctionMode`
intercepts the calls of `scaled_dot_product_attention` in the module's own processor and runs them unchanged (see
`LogSumExpReader`). No processor, class or function is replaced. Only an `OutputOverride` may change what the model
receives.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from daam_syntax.attention.hooks.logsumexp import LogSumExpReader
from daam_syntax.attention.hooks.owned_hooks import OwnedHook, leave_mode, remove_hooks
from daam_syntax.attention.hooks.suspension import are_suspended
from daam_syntax.attention.softmax.probabilities import AttentionCall

OutputOverride = Callable[[str, AttentionCall, Tensor, Tensor], Tensor]
"""A function that returns the output of an attention call, or another one of the same shape, for the model.

Its arguments are the module's path, the call, its values, *shape* ``(row, key head, key, feature)``, and its output,
*shape* ``(row, head, query, feature)``.
"""


class AttentionCallbacks(Protocol):
    """Callbacks of the attention hooks, in call order."""

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Receive the arguments of a denoiser call before it runs."""

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Receive the attention calls of a module after it ran."""

    def denoiser_returned(self) -> None:
        """React to the end of a denoiser call that did not fail."""


class AttentionHooks:
    """Hooks on a denoiser and on attention modules in it.

    Only calls from the thread that attached the hooks are observed.

    Parameters
    ----------
    denoiser
        The model.
    attentions
        The attention modules, by module path.
    callbacks
        Receives the calls.
    override
        Replaces the outputs of attention calls; None to change nothing.
    keeps_outputs
        Whether the calls include their values and outputs.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        attentions: Mapping[str, nn.Module],
        callbacks: AttentionCallbacks,
        override: OutputOverride | None = None,
        *,
        keeps_outputs: bool = False,
    ) -> None:
        self._denoiser = denoiser
        self._attentions = attentions
        self._callbacks = callbacks
        self._signature = inspect.signature(type(denoiser).forward)
        self._thread: int | None = None
        self._collector = _CallCollector(override, keeps_outputs)

    @property
    def log_sum_exp_differences(self) -> dict[str, float]:
        """How far the log-sum-exp of each attention kernel is off, see `LogSumExpReader`."""
        return dict(self._collector.reader.differences)

    def attach(self) -> None:
        """Register the hooks."""
        self._thread = threading.get_ident()
        self._denoiser.register_forward_pre_hook(
            OwnedHook(self, self._before_denoiser), with_kwargs=True
        )
        self._denoiser.register_forward_hook(OwnedHook(self, self._after_denoiser))
        for path, module in self._attentions.items():
            module.register_forward_pre_hook(OwnedHook(self, self._before_attention(path)))
            # Function modes are a stack: with several traces, the last to enter must leave first.
            module.register_forward_hook(
                OwnedHook(self, self._after_attention(path)), prepend=True, always_call=True
            )

    def detach(self) -> None:
        """Remove the hooks, also if `attach` was interrupted. Does nothing if they are removed already."""
        for module in (self._denoiser, *self._attentions.values()):
            remove_hooks(module, self)
        self._collector.stop_all()

    def _is_foreign(self) -> bool:
        return threading.get_ident() != self._thread or are_suspended()

    def _before_denoiser(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._is_foreign():
            return
        # A keyboard interrupt skips even hooks with `always_call`.
        self._collector.stop_all()
        self._callbacks.denoiser_called(self._signature.bind(module, *args, **kwargs).arguments)

    def _after_denoiser(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if not self._is_foreign():
            self._callbacks.denoiser_returned()

    def _before_attention(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not self._is_foreign():
                self._collector.start(path)

        return hook

    def _after_attention(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: object) -> None:
            if self._is_foreign():
                return
            calls = self._collector.stop(path)
            failed = output is None  # the hook also runs after an exception
            if not failed:
                self._callbacks.attention_ran(path, module, calls)

        return hook


class _CallCollector(TorchFunctionMode):
    """Collects the attention calls of the innermost module that is running."""

    def __init__(self, override: OutputOverride | None, keeps_outputs: bool) -> None:
        super().__init__()
        self._override = override
        self._keeps_outputs = keeps_outputs
        self.reader = LogSumExpReader()
        self._running: list[tuple[str, list[AttentionCall]]] = []  # innermost module last

    def start(self, path: str) -> None:
        if not self._running:
            self.__enter__()
        self._running.append((path, []))

    def stop(self, path: str) -> list[AttentionCall]:
        if not self._running or self._running[-1][0] != path:
            return []  # the module failed before `start`
        _, calls = self._running.pop()
        if not self._running:
            leave_mode(self)
        return calls

    def stop_all(self) -> None:
        self._running.clear()
        leave_mode(self)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention or are_suspended():
            return func(*args, **kwargs)
        output, logsumexp = self.reader.attend(args, kwargs)
        if not self._running:  # after an interrupt, until the next denoiser call
            return output
        path, calls = self._running[-1]
        call = AttentionCall.from_arguments(args, kwargs, logsumexp)
        value = args[2] if len(args) > 2 else kwargs["value"]
        if self._override is not None:
            output = self._override(path, call, value, output)
        if self._keeps_outputs:
            call = replace(call, value=value.detach(), output=output.detach())
        calls.append(call)
        return output
