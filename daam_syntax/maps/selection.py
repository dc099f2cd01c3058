"""Selections of steps, layers, and attention heads, before a recording (`trace`) and after it (`HeatMaps.select`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

Grid: TypeAlias = "tuple[int, int]"
"""Rows and columns ``(y, x)`` of the pixels that a layer attends from."""

LayerSelection = Callable[[str, Grid], bool] | Sequence[str | int] | str | int | None
"""Which layers to select.

- None selects all layers.
- A function of a layer's module path and grid returns whether to select it.
- A string such as "16x16" selects the layers with that grid.
- Any other string selects the layers whose module path contains it.
- A number selects the layers whose grid has that many rows.
- A sequence of strings and numbers selects the layers that match at least one of them.
"""

StepSelection = Callable[[int, float], bool] | slice | Sequence[int] | int | None
"""Which denoising steps to select.

- None selects all steps.
- A number, or a sequence of numbers, selects steps by their number, from 0.
- A slice of integers selects a range of step numbers.
- A slice with at least one float selects by progress, the fraction of the steps that precede a step:
  ``slice(0, 1/3)`` is the first third, and ``slice(0.5, 1)`` the second half.
- A function of a step's number and timestep returns whether to select it.
"""

HeadSelection = slice | Sequence[int] | int | None
"""Which attention heads to select: None for all, one or several numbers from 0, or a slice of numbers."""

_ROUNDING: Final = 1e-9
"""Tolerance that makes a third of 30 steps exactly 10 steps, and keeps thirds disjoint."""


def grid_name(grid: Grid) -> str:
    """Return the name of a grid, rows first, such as "16x16"."""
    return f"{grid[0]}x{grid[1]}"


def layer_selector(layers: LayerSelection) -> Callable[[str, Grid], bool]:
    """Convert a selection of layers to a function of a layer's module path and grid."""
    if layers is None:
        return lambda path, grid: True
    if callable(layers):
        return layers
    entries = [layers] if isinstance(layers, str | int) else list(layers)
    return lambda path, grid: any(
        entry in path or entry == grid_name(grid) if isinstance(entry, str) else entry == grid[0]
        for entry in entries
    )


def needs_all_steps(steps: StepSelection) -> bool:
    """Return whether a selection depends on the total number of steps."""
    return isinstance(steps, slice) and any(isinstance(b, float) for b in (steps.start, steps.stop))


def step_selector(steps: StepSelection) -> Callable[[int, float, float], bool]:
    """Convert a selection of steps to a function of a step's number, progress, and timestep.

    The progress of a step is its number divided by the number of all steps.

    Raises
    ------
    ValueError
        If the selection is not valid.
    """
    if callable(steps):
        return lambda number, progress, timestep: bool(steps(number, timestep))
    if needs_all_steps(steps):
        first, last = _fractions(steps)
        return lambda number, progress, timestep: first <= progress + _ROUNDING < last
    contains = _number_selector(steps, "steps", "slice(0, 1/3) is the first third of them")
    return lambda number, progress, timestep: contains(number)


def head_selector(heads: HeadSelection) -> Callable[[int], bool]:
    """Convert a selection of attention heads to a function of a head's number.

    Raises
    ------
    ValueError
        If the selection is not valid.
    """
    return _number_selector(heads, "heads", "slice(0, 4) is the first four")


def _fractions(steps: Any) -> tuple[float, float]:
    first = 0.0 if steps.start is None else float(steps.start)
    last = 1.0 if steps.stop is None else float(steps.stop)
    if steps.step is not None or not 0 <= first < last <= 1:
        raise ValueError(
            f"Expected fractions of the steps from 0 to 1, as in slice(0, 1/3), but got {steps}."
        )
    return first, last


def _number_selector(
    numbers: slice | Sequence[int] | int | None, what: str, example: str
) -> Callable[[int], bool]:
    if numbers is None:
        return lambda number: True
    if isinstance(numbers, slice):
        bounds = [0 if numbers.start is None else numbers.start, numbers.stop, numbers.step]
        given = [bound for bound in bounds if bound is not None]
    else:
        has_items = isinstance(numbers, Iterable) and getattr(numbers, "ndim", 1) > 0
        given = list(numbers) if has_items else [numbers]  # type: ignore[arg-type]
    wrong = [n for n in given if isinstance(n, bool) or not _is_whole(n) or n < 0]
    if wrong:
        raise ValueError(
            f"Expected {what} as numbers from 0, or as a slice ({example}), but got {numbers!r}."
        )
    if not isinstance(numbers, slice):
        return lambda number: number in given
    start, stop, step = bounds
    stop = math.inf if stop is None else stop
    return lambda number: start <= number < stop and (number - start) % (step or 1) == 0


def _is_whole(number: Any) -> bool:
    try:
        return not np.ma.is_masked(number) and int(number) == number
    except (TypeError, ValueError, OverflowError):
        return False
