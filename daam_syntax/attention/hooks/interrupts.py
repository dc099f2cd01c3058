"""Restoring something completely, although Ctrl-C may come at any moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class _Deferral:
    """A signal handler that only counts."""

    def __init__(self, previous: Any) -> None:
        self.previous = previous
        self.n_signals = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.n_signals += 1


def restore_completely(restore: Callable[[], None]) -> None:
    """Call a function that restores something, and defer Ctrl-C until it has finished.

    In the main thread, whose signal handler raises `KeyboardInterrupt`, the handler is replaced meanwhile. An interrupt
    that arrives in another way, or just before that, interrupts the function once; it is then called again.

    Parameters
    ----------
    restore
        The function. A second call must complete what the first one left undone.
    """
    deferral = _Deferral(_handler())
    try:
        if deferral.previous is not None:
            signal.signal(signal.SIGINT, deferral)
        restore()
    except BaseException:
        restore()
        raise
    finally:
        if deferral.previous is not None:
            signal.signal(signal.SIGINT, deferral.previous)
        if deferral.n_signals:
            signal.raise_signal(signal.SIGINT)


def _handler() -> Any:
    """Return the handler of Ctrl-C; None if it cannot be replaced here."""
    if threading.current_thread() is not threading.main_thread():
        return None  # only the main thread is interrupted, and may set handlers
    handler = signal.getsignal(signal.SIGINT)
    return handler.previous if isinstance(handler, _Deferral) else handler
