"""Rules that make a mask of a map, as values that carry their parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from daam_syntax.errors import ThresholdError
from daam_syntax.maps.measures.arrays import flat, is_constant


@dataclass(frozen=True)
class _Rule:
    """How a rule finds the cut of each map, and what a reader must know of it.

    Masks do not change when a map is multiplied by a factor (`scale`), or when a constant is added to it (`shift`).
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
    # In the precision of the maps: a pixel that is stored as this number is at the cut, not above it.
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
    """Cut where the variance between the two classes is largest, over all cuts between values."""
    values = np.sort(flat(maps).astype(np.float64), axis=-1)
    n = values.shape[-1]
    below = np.arange(1, n)
    sums = np.cumsum(values, axis=-1)
    lower = sums[..., :-1] / below
    upper = (sums[..., -1:] - sums[..., :-1]) / (n - below)
    between = below * (n - below) * (upper - lower) ** 2
    between = np.where(values[..., 1:] > values[..., :-1], between, -1.0)  # equals stay together
    # On a grid of one pixel, or of equal values, the cut is that value: nothing lies above it.
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
        _quantile, "quantile:0.8", "the t-quantile of h, so that areas are equal", True, True, "-"
    ),
    "otsu": _Rule(
        _otsu, "otsu", "argmax of the variance between the classes", True, True, "Otsu 1979"
    ),
}
"""Rules by name. A pixel is in the mask where it lies strictly above the cut."""

_WITHOUT_VALUE: Final = ("otsu",)

RULES_OF_VALUES: Final = tuple(name for name in RULES if name not in _WITHOUT_VALUE)
"""Rules that have a parameter, over which a sweep can run."""

_NOTEBOOK_CUT: Final = 0.15
_NOTEBOOK_STEPS: Final = 30


@dataclass(frozen=True)
class Threshold:
    """A threshold rule with its parameter; make one with `parse_threshold`.

    Attributes
    ----------
    rule
        "relative": above `value` times the map's maximum (Tang et al. 2023, their tau);
        "absolute": above `value`, a mean attention probability;
        "minmax": above `value` of the way from the map's minimum to its maximum;
        "quantile": above the map's `value`-quantile, so that all masks have the same area but for ties;
        "otsu": above the cut that separates the two classes best (Otsu 1979); it has no parameter.
    value
        The parameter, 0 <= value < 1; 0 for a rule without one.
    """

    rule: str
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ThresholdError(f"Expected {_possible()}, but got {self.rule!r}.")
        if not 0.0 <= self.value < 1.0 or (self.rule in _WITHOUT_VALUE and self.value):
            wanted = (
                "without a value"
                if self.rule in _WITHOUT_VALUE
                else f"with a value from 0 to below 1, such as {RULES[self.rule].example}"
            )
            raise ThresholdError(f"Expected {self.rule} {wanted}, but got {self.value:g}.")

    def __str__(self) -> str:
        if self.rule in _WITHOUT_VALUE:
            return self.rule
        # Shortest digits that give the value back: the text tells rules apart in the tables.
        return f"{self.rule}:{np.format_float_positional(self.value, trim='-')}"

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Return where maps lie strictly above their cut, bool, shape (..., y, x) like `maps`.

        A map that is 0 everywhere gives an empty mask; so does a constant one under minmax, quantile and otsu.
        """
        maps, rule = np.asarray(maps), RULES[self.rule]
        masks = np.asarray(maps > rule.cut(maps, self.value))
        if rule.shift:
            # These rules look at the pattern only, and what rounding leaves of a constant map is none.
            masks &= ~is_constant(maps)[..., None, None]
        return masks


def parse_threshold(rule: str | Threshold) -> Threshold:
    """Read a rule such as ``"relative:0.4"``, or the name of a convention.

    ``"paper"`` is ``relative:0.4`` (Tang et al. 2023, their best tau). ``"notebook"`` is what their released notebook
    does: it cuts at 0.15 maps that are *summed* over 30 steps. The maps here are means over steps; a sum over S steps
    is S times the mean, so the cut of the mean is 0.15 / S. ``"notebook"`` is ``absolute:0.005``, and ``"notebook:50"``
    the same for sums over 50 steps. The notebook measures on the grid of the recording (``size="grid"``).

    Raises
    ------
    ThresholdError
        If there is no such rule, or its parameter is out of range.
    """
    if isinstance(rule, Threshold):
        return rule
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
            f"Expected notebook with the number of steps that are summed, such as notebook:30, but got {rule!r}."
        )
    return Threshold("absolute", _NOTEBOOK_CUT / int(steps))


def _possible() -> str:
    examples = ", ".join(rule.example for rule in RULES.values())
    return f"a threshold rule such as {examples}, paper, notebook"
