"""Choosing steps of a drawing by their number or by the share of the drawing that is over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

StepSelection = slice | Sequence[int] | int | None
"""Which steps.

None for all; a number or several, from 0; a slice of numbers; or a slice with a fraction in it, of the
share of the drawing that was over when the step began (``slice(0, 1/3)`` is the first third).
"""

_ROUNDING: Final = 1e-9  # so that a third of 30 steps is 10 steps, and thirds share no step


def needs_all_steps(steps: StepSelection) -> bool:
    """Whether a selection depends on how many steps there are."""
    return isinstance(steps, slice) and any(isinstance(b, float) for b in (steps.start, steps.stop))


def step_selector(steps: StepSelection) -> Callable[[int, float], bool]:
    """Turn a selection into a function of a step's number and of the share that was over before it.

    Raises
    ------
    ValueError
        If the selection is none.
    """
    if steps is None:
        return lambda number, progress: True
    if not isinstance(steps, slice):
        chosen = {steps} if isinstance(steps, int) else set(steps)
        if any(number < 0 for number in chosen):
            raise ValueError(f"Expected steps as numbers from 0, but got {steps!r}.")
        return lambda number, progress: number in chosen
    start = 0 if steps.start is None else steps.start
    if needs_all_steps(steps):
        stop = 1.0 if steps.stop is None else steps.stop
        if steps.step is not None or not 0 <= start < stop <= 1:
            raise ValueError(
                f"Expected fractions of the drawing from 0 to 1, as in slice(0, 1/3), but got {steps}."
            )
        return lambda number, progress: start <= progress + _ROUNDING < stop
    stop = math.inf if steps.stop is None else steps.stop
    if start < 0 or stop <= start or (steps.step or 1) < 1:
        raise ValueError(f"Expected a slice of steps from 0 that is not empty, but got {steps}.")
    return lambda number, progress: (
        start <= number < stop and not (number - start) % (steps.step or 1)
    )
