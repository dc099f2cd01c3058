"""Lowest and highest possible values of the quantities that studies estimate."""

from __future__ import annotations

from typing import Final

from daam_syntax.errors import StudyError
from daam_syntax.maps.measures import PAIR_MEASURES

SHARE: Final = (0.0, 1.0)
"""Bounds of shares, of changes of images, and of other values between 0 and 1."""


CORRECTED: Final = "phi"
"""The measure beside one that areas of masks alone can move: 0 for independent masks of any areas."""


def with_corrected(measure: str) -> tuple[str, ...]:
    """Return a pair measure and, if areas of masks alone can move it, the corrected one."""
    return (measure,) if PAIR_MEASURES[measure].area_free else (measure, CORRECTED)


def measure_bounds(measure: str) -> tuple[float, float]:
    """Return the lowest and the highest possible value of a pair measure.

    Raises
    ------
    StudyError
        If no measure has this name; the message lists all of them.
    """
    if measure not in PAIR_MEASURES:
        raise StudyError(
            f"Expected one of the measures {', '.join(PAIR_MEASURES)}, but got {measure!r}."
        )
    return PAIR_MEASURES[measure].low, PAIR_MEASURES[measure].high
