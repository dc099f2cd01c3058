"""Many prompts times several seeds: drawn in shards, taken up after any interruption, read without a model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daam_syntax.corpus.estimate import plan as plan
    from daam_syntax.corpus.reading import Run as Run
    from daam_syntax.corpus.reading import open_run as open
    from daam_syntax.corpus.reporting import report as report
    from daam_syntax.corpus.running import run as run

_HOMES = {
    "Run": ("reading", "Run"),
    "open": ("reading", "open_run"),
    "plan": ("estimate", "plan"),
    "report": ("reporting", "report"),
    "run": ("running", "run"),
}

__all__ = ["Run", "open", "plan", "report", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'daam_syntax.corpus' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"daam_syntax.corpus.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
