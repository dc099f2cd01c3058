"""Temporarily wrap methods of one object."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

_ABSENT = object()


class WrappedMethods:
    """Temporarily wrapped methods of one object. Its class is not changed."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._before: dict[str, Any] = {}  # instance attributes before wrapping

    def wrap(
        self, name: str, around: Callable[[Callable[[], Any], Mapping[str, Any]], Any]
    ) -> None:
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
            if threading.get_ident() != thread:
                return original(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return around(lambda: original(*args, **kwargs), bound.arguments)

        self._before[name] = vars(self._owner).get(name, _ABSENT)
        setattr(self._owner, name, wrapper)

    def restore(self) -> None:
        """Restore the original methods."""
        for name, before in self._before.items():
            if before is _ABSENT:
                delattr(self._owner, name)
            else:
                setattr(self._owner, name, before)
        self._before.clear()
