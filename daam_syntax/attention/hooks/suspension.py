"""Suspending all attention hooks while modules run again for a purpose of our own, such as the stream of a concept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    depth = 0


_STATE = _State()


@contextmanager
def suspended_hooks() -> Iterator[None]:
    """Suspend the `AttentionHooks` of every observer in this thread: none of them observes or changes anything."""
    _STATE.depth += 1
    try:
        yield
    finally:
        _STATE.depth -= 1


def are_suspended() -> bool:
    """Return whether attention hooks are suspended in this thread."""
    return _STATE.depth > 0
