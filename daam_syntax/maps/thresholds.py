"""Rules that make a mask of a map, as values that carry their parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from daam_syntax.errors import ThresholdError


@dataclass(frozen=True)
class _Rule:
    """How a rule finds the cut of each map, what its parameter may be, and an example."""

    cut: Callable[[np.ndarray, float], np.ndarray]
    low: float
    high: float
    example: str


def _relative(maps: np.ndarray, value: float) -> np.ndarray:
    return np.asarray(value * maps.max(axis=(-2, -1), keepdims=True))


def _absolute(maps: np.ndarray, value: float) -> np.ndarray:
    return np.full((*maps.shape[:-2], 1, 1), value)


_RULES: Final = {
    "relative": _Rule(_relative, 0.0, 1.0, "relative:0.4"),
    "absolute": _Rule(_absolute, 0.0, 1.0, "absolute:0.15"),
}


@dataclass(frozen=True)
class Threshold:
    """A threshold rule with its parameter; make one with `parse_threshold`.

    Attributes
    ----------
    rule
        "relative": above `value` times the map's maximum (Tang et al. 2023, their tau);
        "absolute": above `value`, a mean attention probability.
    value
        The parameter, 0 <= value < 1.
    """

    rule: str
    value: float

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            examples = ", ".join(rule.example for rule in _RULES.values())
            raise ThresholdError(
                f"Expected a threshold rule such as {examples}, but got {self.rule!r}."
            )
        rule = _RULES[self.rule]
        if not rule.low <= self.value < rule.high:
            raise ThresholdError(
                f"Expected {self.rule} with a value from {rule.low:g} to below {rule.high:g}, "
                f"such as {rule.example}, but got {self.value:g}."
            )

    def __str__(self) -> str:
        # Shortest digits that give the value back: the text tells rules apart in the tables.
        return f"{self.rule}:{np.format_float_positional(self.value, trim='-')}"

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Return where maps lie strictly above their cut, bool, shape (..., y, x) like `maps`.

        A map that is 0 everywhere gives an empty mask.
        """
        maps = np.asarray(maps)
        return np.asarray(maps > _RULES[self.rule].cut(maps, self.value))


def parse_threshold(rule: str | Threshold) -> Threshold:
    """Read a rule such as ``"relative:0.4"``.

    Raises
    ------
    ThresholdError
        If there is no such rule, or its parameter is out of range.
    """
    if isinstance(rule, Threshold):
        return rule
    name, _, value = str(rule).partition(":")
    try:
        number = float(value)
    except ValueError:
        examples = ", ".join(r.example for r in _RULES.values())
        raise ThresholdError(
            f"Expected a threshold rule such as {examples}, but got {rule!r}."
        ) from None
    return Threshold(name.strip(), number)
