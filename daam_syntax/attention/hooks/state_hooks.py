"""Hooks that read and change the states of a text encoder of transformers between its blocks, and what it may see."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from daam_syntax.attention.hooks.encoder_hooks import attention_modules
from daam_syntax.attention.hooks.owned_hooks import OwnedHook, remove_hooks
from daam_syntax.errors import TraceError


class StateHooks:
    """Hooks on a text encoder and on its blocks. Only calls from the thread that attached them are concerned.

    Parameters
    ----------
    encoder
        The model.
    called
        Receives the arguments of each of its calls by name, and returns those to replace.
    passed
        Receives the number of blocks that have run, from 0, and the states after them, *shape* ``(row, token,
        feature)``, and returns the states to go on with.
    """

    def __init__(
        self,
        encoder: nn.Module,
        called: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        passed: Callable[[int, Tensor], Tensor],
    ) -> None:
        self._encoder = encoder
        self._blocks = blocks_of(encoder)
        self._called = called
        self._passed = passed
        self._signature = inspect.signature(type(encoder).forward)
        self._thread: int | None = None

    def attach(self) -> None:
        """Register the hooks."""
        self._thread = threading.get_ident()
        self._encoder.register_forward_pre_hook(OwnedHook(self, self._before), with_kwargs=True)
        if self._blocks:
            self._blocks[0].register_forward_pre_hook(
                OwnedHook(self, self._entering), with_kwargs=True
            )
        for number, block in enumerate(self._blocks, start=1):
            # Before the hooks of transformers, which collect the states that pipelines choose from.
            block.register_forward_hook(OwnedHook(self, self._leaving(number)), prepend=True)

    def detach(self) -> None:
        """Remove the hooks, also if `attach` was interrupted. Does nothing if they are removed already."""
        for module in (self._encoder, *self._blocks):
            remove_hooks(module, self)

    def _is_foreign(self) -> bool:
        return threading.get_ident() != self._thread

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._is_foreign():
            return None
        bound = self._signature.bind(module, *args, **kwargs)
        replaced = self._called(bound.arguments)
        if not replaced:
            return None
        missing = [name for name in replaced if name not in self._signature.parameters]
        if missing:
            raise TraceError(
                f"Expected a text encoder with the argument {', '.join(missing)}, to hide other words from a word "
                f"(alone=True), but {type(module).__name__} has none: replace the word by padding or by another word."
            )
        bound.arguments.update(replaced)
        return bound.args[1:], bound.kwargs

    def _entering(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._is_foreign():
            return None
        if args:
            return (self._passed(0, args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": self._passed(0, kwargs["hidden_states"])}

    def _leaving(self, number: int) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            if self._is_foreign():
                return None
            if isinstance(output, tuple):
                return (self._passed(number, output[0]), *output[1:])
            return self._passed(number, output)

        return hook


def blocks_of(encoder: nn.Module) -> list[nn.Module]:
    """Return the blocks of a text encoder, in order: the outermost list of modules that each attend to text."""
    attentions = attention_modules(encoder)
    for path, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            places = [f"{path}.{number}." for number in range(len(module))]
            if all(any(each.startswith(place) for each in attentions) for place in places):
                return list(module)
    return []
