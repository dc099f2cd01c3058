"""What a trace costs on a device: time, memory, and waits of the host."""

from __future__ import annotations

import gc
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

_PACKAGE: Final = str(Path(__file__).parents[1])
_TORCH: Final = str(Path(torch.__file__).parent)
_MODES: Final = ("__torch_function__", "__torch_dispatch__")


def times(
    draw: Callable[[], Any], draw_traced: Callable[[], Any], rounds: int, device: torch.device
) -> tuple[float, float]:
    """Return the median time of an untraced call in seconds, and the median ratio of a traced to an untraced one."""
    untraced, ratios = [], []
    for _ in range(rounds):
        beside = _seconds(draw, device)
        untraced.append(beside)
        ratios.append(_seconds(draw_traced, device) / beside)
    return statistics.median(untraced), statistics.median(ratios)


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    _synchronize(device)
    started = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - started


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peaks(
    draw: Callable[[], Any], draw_traced: Callable[[], Any], device: torch.device
) -> dict[str, int]:
    """Return the peak of a CUDA device's memory, untraced and traced, in bytes; empty for other devices."""
    if device.type != "cuda":
        return {}
    found = {}
    for name, run in {"untraced": draw, "traced": draw_traced}.items():
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        run()
        found[name] = torch.cuda.max_memory_allocated(device)
    return found


def waits_by_line(draw_traced: Callable[[], Any], device: torch.device) -> dict[str, int]:
    """Count by line how often this package makes the host wait for a CUDA device."""
    if device.type != "cuda":
        return {}
    lines: Counter[str] = Counter()

    def count(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if "synchronizing CUDA operation" in str(message) and (own := _own_line(filename, lineno)):
            lines[own] += 1

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = count
        torch.cuda.set_sync_debug_mode("warn")
        try:
            draw_traced()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return dict(lines.most_common())


def _own_line(filename: str, lineno: int) -> str:
    """Return the line of this package that caused a warning; "" if it was caused elsewhere.

    A line of torch, or of a mode through which all calls of the model pass, was called by the line that caused it.
    """
    frame: Any = sys._getframe()
    while frame is not None and (frame.f_code.co_filename, frame.f_lineno) != (filename, lineno):
        frame = frame.f_back
    while frame is not None:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        if not path.startswith(_TORCH) and name not in _MODES:
            is_own = path.startswith(_PACKAGE)
            return f"{Path(path).name}:{frame.f_lineno}" if is_own else ""
        frame = frame.f_back
    return ""
