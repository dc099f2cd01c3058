"""Temporarily wrap methods of one object."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

_ABSENT = object()

Around = Callable[[Callable[[], Any], Mapping[str, Any]], Any]
"""A function of a call and its arguments by name, which makes the call and returns its result."""


class WrappedMethods:
    """Temporarily wrapped methods of one object. Its class is not changed.

    Each wrapper knows who made it and what it replaced. So `restore` finds the wrappers on the object itself, even
    those whose `wrap` was interrupted, and several of them may be restored in any order.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._is_open = True

    def wrap(self, name: str, around: Around) -> None:
        """Route calls of a method from this thread through ``around(call, arguments)``.

        Does nothing if the object has no such method.
        """
        original = getattr(self._owner, name, None)
        if original is None:
            return
        signature = inspect.signature(original)
        thread = threading.get_ident()

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != thread or not self._is_open:
                return original(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return around(lambda: original(*args, **kwargs), bound.arguments)

        attributes = vars(self._owner)
        wrapper._replaced = _Replaced(self, attributes.get(name, _ABSENT))  # type: ignore[attr-defined]
        attributes[name] = wrapper

    def restore(self) -> None:
        """Restore the original methods. Does nothing if they are restored already."""
        self._is_open = False
        attributes = getattr(self._owner, "__dict__", {})
        for name, value in list(attributes.items()):
            while (replaced := _replaced_by(value)) is not None and not replaced.by._is_open:
                value = replaced.before
            if value is _ABSENT:
                del attributes[name]
            elif value is not attributes[name]:
                attributes[name] = value


class _Replaced:
    """What a wrapper replaced: an instance attribute, or none."""

    def __init__(self, by: WrappedMethods, before: Any) -> None:
        self.by = by
        self.before = before


def _replaced_by(value: Any) -> _Replaced | None:
    own = getattr(value, "__dict__", {}).get("_replaced") if callable(value) else None
    return own if isinstance(own, _Replaced) else None
