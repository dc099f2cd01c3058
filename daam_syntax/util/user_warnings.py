"""Warnings that point at the user's line, not at this package."""

from __future__ import annotations

import sys
import warnings
from typing import Final

_PACKAGE: Final = __name__.partition(".")[0]


def warn_user(message: str) -> None:
    """Issue a `UserWarning` at the nearest caller outside the package."""
    n, frame = 1, sys._getframe(0)
    while frame.f_back is not None and _is_own(frame.f_globals.get("__name__", "")):
        n, frame = n + 1, frame.f_back
    warnings.warn(message, stacklevel=n)


def _is_own(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")
