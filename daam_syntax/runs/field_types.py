"""Check the types and ranges of values in JSON that other people may have written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[object], bool]

MOST: Final = 10**9
"""More images, seeds, and pixels than any run has."""


def whole(least: int = 0, most: int = MOST) -> Check:
    """Return a check for whole numbers from `least` to `most`."""
    return lambda value: type(value) is int and least <= value <= most


def number(value: object) -> bool:
    """Whether a value is a finite number, and not a truth value."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def text(value: object) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def flag(value: object) -> bool:
    """Whether a value is true or false."""
    return isinstance(value, bool)


def mapping(value: object) -> bool:
    """Whether a value is a JSON object."""
    return isinstance(value, Mapping)


def hexadecimal(n_digits: int) -> Check:
    """Return a check for strings of so many hexadecimal digits."""
    digits = set("0123456789abcdef")
    return lambda value: isinstance(value, str) and len(value) == n_digits and set(value) <= digits


def missing_or(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda value: value is None or check(value)


def each(check: Check) -> Check:
    """Return a check for lists whose items all pass a check."""
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def check_fields(
    values: object, required: Mapping[str, Check], optional: Mapping[str, Check] | None = None
) -> dict[str, Any]:
    """Return a JSON object if it has the right fields with the right values.

    Raises
    ------
    ValueError
        If it is anything else; the message names the first field that is wrong.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"it is {_shown(values)}, not a JSON object")
    known = {**(optional or {}), **required}
    absent = [name for name in required if name not in values]
    unknown = [str(name)[:40] for name in values if name not in known]
    if absent or unknown:
        raise ValueError(
            f"it lacks the keys {absent}" if absent else f"it has unknown keys {unknown[:5]}"
        )
    for name, value in values.items():
        if not known[name](value):
            raise ValueError(f"{name!r} is {_shown(value)}")
    return dict(values)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
