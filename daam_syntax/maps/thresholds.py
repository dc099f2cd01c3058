"""Threshold rules that convert heat maps to masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from daam_syntax.errors import ThresholdError
from daam_syntax.maps.measures.arrays import flat, is_constant, over_pixels
from daam_syntax.util.arguments.annotations import is_number, shown
from daam_syntax.util.arguments.checks import OWN, checked


@dataclass(frozen=True)
class _Rule:
    """How a rule finds the cut of each map, with its properties.

    Attributes
    ----------
    cut
        Function of the maps, *shape* ``(..., y, x)``, and the rule's parameter. Returns the cuts, *shape*
        ``(..., 1, 1)``.
    example
        The rule with a parameter.
    formula
        Cut of a map h, with the parameter t.
    scale
        Whether a map times a positive factor has the same mask.
    shift
        Whether a map plus a constant has the same mask.
    source
        Author and year.
    """

    cut: Callable[[np.ndarray, float], np.ndarray]
    example: str
    formula: str
    scale: bool
    shift: bool
    source: str


def _relative(maps: np.ndarray, value: float) -> np.ndarray:
    return np.asarray(value * maps.max(axis=(-2, -1), keepdims=True))


def _absolute(maps: np.ndarray, value: float) -> np.ndarray:
    # In the precision of the maps: a pixel stored as this number lies at the cut, not above it.
    precision = maps.dtype if np.issubdtype(maps.dtype, np.floating) else np.dtype(np.float64)
    return np.full((*maps.shape[:-2], 1, 1), value, dtype=precision)


def _minmax(maps: np.ndarray, value: float) -> np.ndarray:
    low = maps.min(axis=(-2, -1), keepdims=True)
    return np.asarray(low + value * (maps.max(axis=(-2, -1), keepdims=True) - low))


def _quantile(maps: np.ndarray, value: float) -> np.ndarray:
    pixels = flat(maps)
    place = max(0, int(np.ceil(value * pixels.shape[-1])) - 1)
    return np.partition(pixels, place, axis=-1)[..., place, None, None]


def _otsu(maps: np.ndarray, _: float) -> np.ndarray:
    """Return the cut between two values that maximizes the variance between the classes below and above it."""
    values = np.sort(flat(maps).astype(np.float64), axis=-1)
    n = values.shape[-1]
    below = np.arange(1, n)
    sums = np.cumsum(values, axis=-1)
    lower = sums[..., :-1] / below
    upper = (sums[..., -1:] - sums[..., :-1]) / (n - below)
    between = below * (n - below) * (upper - lower) ** 2
    # Never split equal values.
    between = np.where(values[..., 1:] > values[..., :-1], between, -1.0)
    # With one pixel, or with equal values, the cut is that value, and nothing lies above it.
    place = between.argmax(axis=-1) if n > 1 else np.zeros(values.shape[:-1], int)
    cut = np.take_along_axis(values, place[..., None], axis=-1)
    return np.asarray(cut[..., None].astype(maps.dtype))


RULES: Final = {
    "relative": _Rule(_relative, "relative:0.4", "t max h", True, False, "Tang et al. 2023"),
    "absolute": _Rule(_absolute, "absolute:0.15", "t", False, False, "-"),
    "minmax": _Rule(
        _minmax, "minmax:0.4", "min h + t (max h - min h)", True, True, "daam 0.2.0, `expand_as`"
    ),
    "quantile": _Rule(
        _quantile, "quantile:0.8", "the t-quantile of h, which makes areas equal", True, True, "-"
    ),
    "otsu": _Rule(
        _otsu, "otsu", "argmax of the variance between the classes", True, True, "Otsu 1979"
    ),
}
"""Threshold rules by name. A mask contains the pixels strictly above the cut."""

_WITHOUT_VALUE: Final = ("otsu",)

RULES_OF_VALUES: Final = tuple(name for name in RULES if name not in _WITHOUT_VALUE)
"""Rules with a parameter, which a sweep can vary."""

_NOTEBOOK_CUT: Final = 0.15
_NOTEBOOK_STEPS: Final = 30


@checked(value=OWN)
@dataclass(frozen=True)
class Threshold:
    """A threshold rule with its parameter, such as `parse_threshold` returns.

    Attributes
    ----------
    rule
        Name of the rule. A mask contains the pixels

        - "relative": above `value` times the map's maximum (the tau of Tang et al. 2023);
        - "absolute": above `value`, a mean attention probability;
        - "minmax": above `value` of the way from the map's minimum to its maximum;
        - "quantile": above the map's `value`-quantile, which gives all masks the same area except for ties;
        - "otsu": above the cut that best separates two classes (Otsu 1979); this rule has no parameter.
    value
        Parameter, 0 <= value < 1; 0 for a rule without one.

    Raises
    ------
    ThresholdError
        If the rule is unknown, or its parameter is out of range.
    """

    rule: str
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ThresholdError(f"Expected {_possible()}, but got {self.rule!r}.")
        if not is_number(self.value):
            raise TypeError(
                f"Expected a number as value of Threshold, but got {shown(self.value)}."
            )
        if not 0.0 <= self.value < 1.0 or (self.rule in _WITHOUT_VALUE and self.value):
            wanted = (
                "without a value"
                if self.rule in _WITHOUT_VALUE
                else f"with a value from 0 to below 1, such as {RULES[self.rule].example}"
            )
            raise ThresholdError(f"Expected {self.rule} {wanted}, but got {str(self.value)[:60]}.")

    def __str__(self) -> str:
        if self.rule in _WITHOUT_VALUE:
            return self.rule
        # The shortest digits that restore the value: tables distinguish rules by this text.
        return f"{self.rule}:{np.format_float_positional(self.value, trim='-')}"

    @checked
    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Return where heat maps lie strictly above their cut.

        A map of zeros has an empty mask under every rule. A constant map has one under minmax, quantile, and otsu.

        Parameters
        ----------
        maps
            Non-negative values. *Shape:* ``(..., y, x)``.

        Returns
        -------
        numpy.ndarray
            Boolean masks. *Shape:* that of `maps`.
        """
        over_pixels(maps)
        maps, rule = np.asarray(maps), RULES[self.rule]
        masks = np.asarray(maps > rule.cut(maps, self.value))
        if rule.shift:
            # These rules depend only on the pattern, and rounding errors in a constant map are not a pattern.
            masks &= ~is_constant(maps)[..., None, None]
        return masks


@checked
def parse_threshold(rule: str | float | Threshold) -> Threshold:
    """Parse a threshold rule such as ``"relative:0.4"``, or the name of a published convention.

    ``"paper"`` is ``relative:0.4``, the best tau of Tang et al. (2023). ``"notebook"`` follows their released notebook,
    which cuts maps that are *summed* over 30 steps at 0.15. Maps here are means over steps, and a sum over S steps is S
    times the mean, so the equivalent cut is 0.15 / S. Therefore ``"notebook"`` is ``absolute:0.005``, and
    ``"notebook:50"`` is the equivalent for sums over 50 steps. The notebook measures on the grid of the recording
    (``size="grid"``).

    Parameters
    ----------
    rule
        Name of a rule with its value after a colon, a convention, a number, or a `Threshold`, which is returned
        unchanged. A number is a share of each map's maximum: 0.4 is ``relative:0.4``.

    Raises
    ------
    ThresholdError
        If the rule is unknown, or its parameter is out of range.
    """
    if isinstance(rule, Threshold):
        return rule
    if not isinstance(rule, str):
        return Threshold("relative", float(rule))
    name, colon, value = (part.strip() for part in str(rule).partition(":"))
    if name == "notebook":
        return _notebook(rule, value if colon else str(_NOTEBOOK_STEPS))
    if not colon and name == "paper":
        return Threshold("relative", 0.4)
    if not colon and name in _WITHOUT_VALUE:
        return Threshold(name)
    try:
        number = float(value)
    except ValueError:
        raise ThresholdError(f"Expected {_possible()}, but got {rule!r}.") from None
    return Threshold(name, number)


def _notebook(rule: str, steps: str) -> Threshold:
    if not steps.isdecimal() or int(steps) < 1:
        raise ThresholdError(
            f"Expected notebook with the number of summed steps, such as notebook:30, but got {rule!r}."
        )
    return Threshold("absolute", _NOTEBOOK_CUT / int(steps))


def _possible() -> str:
    examples = ", ".join(rule.example for rule in RULES.values())
    return f"a threshold rule such as {examples}, paper, notebook"
