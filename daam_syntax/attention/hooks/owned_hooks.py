"""Hooks that know their owner, and torch function modes that can be left at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,
    _pop_mode,
    _push_mode,
)


class OwnedHook:
    """A hook that knows its owner, so that it is found on the module, whether or not its registration has returned."""

    def __init__(self, owner: object, run: Callable[..., Any]) -> None:
        self.owner = owner
        self._run = run

    def __call__(self, *args: Any) -> Any:
        """Run the hook, and return what it returns: None to change nothing."""
        return self._run(*args)


def remove_hooks(module: nn.Module, owner: object) -> None:
    """Remove the hooks of one owner from a module."""
    for hooks, flags in (
        (module._forward_pre_hooks, (module._forward_pre_hooks_with_kwargs,)),
        (
            module._forward_hooks,
            (module._forward_hooks_with_kwargs, module._forward_hooks_always_called),
        ),
    ):
        for number, hook in list(hooks.items()):
            if isinstance(hook, OwnedHook) and hook.owner is owner:
                for flag in flags:
                    flag.pop(number, None)
                hooks.pop(number, None)


def leave_mode(mode: TorchFunctionMode) -> None:
    """Remove a mode from torch's stack; after an interrupt, others may be above it."""
    while any(each is mode for each in _get_current_function_mode_stack()):
        above = []
        while (top := _pop_mode()) is not mode:
            above.append(top)
        for each in reversed(above):
            _push_mode(each)
