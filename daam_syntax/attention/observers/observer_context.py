"""A ``with`` block in which an observer follows a pipeline.

A ``with`` statement calls `__exit__` only if `__enter__` has returned, and an interrupt may come when `__exit__` has
been called but has not begun. The ``with`` statement itself holds the bound method `__exit__` from before it calls
`__enter__` until it has ended, however it ends. A weak reference to that object therefore restores the pipeline in
those cases, too.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from daam_syntax.attention.observers.observer import PipelineObserver

Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]


class _RestoringExit:
    """The `__exit__` of `ObserverContext`."""

    def __get__(self, context: ObserverContext | None, owner: type | None = None) -> Exit | Any:
        if context is None:
            return _leave
        leave = functools.partial(_leave, context)
        if not context._observer.is_open:
            observer = context._observer
            context._net = weakref.ref(leave, lambda _: observer.detach())
        return leave


def _leave(
    context: ObserverContext,
    kind: type[BaseException] | None = None,
    error: BaseException | None = None,
    traceback: TracebackType | None = None,
) -> None:
    """Restore the pipeline."""
    context._observer.detach()
    context._net = None


class ObserverContext:
    """A ``with`` block in which an observer follows a pipeline; the pipeline is restored afterwards.

    It is restored whenever an interrupt comes: before the block, in it, or after it. Other ways to enter and leave it,
    such as an `contextlib.ExitStack`, restore it unless the interrupt comes in their own code.
    """

    def __init__(self, observer: PipelineObserver) -> None:
        self._observer = observer
        self._net: weakref.ref[Any] | None = None

    def __enter__(self) -> Self:
        try:
            self._observer.attach()
        finally:
            if not self._observer.is_open:
                self._net = (
                    None  # nothing is left to restore, and an interrupt in there would be lost
                )
        return self

    __exit__ = _RestoringExit()
