"""Declare a measure on the function that computes it.

A declaration gives a function its formula, range, unit, value for zero mass, and source, once. The function's name is
the name of the measure, and the first line of its docstring is its meaning. Everything else is generated: the "Notes"
of the docstring, the registries in `registry`, and the tables in ``docs/measures.md``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import as_maps, as_masks, flat
from daam_syntax.maps.measures.soft_measure import SoftMeasure
from daam_syntax.util.arguments.checks import checked

Kind = Literal["binary", "soft", "breadth", "binding", "against_mask"]
Function = Callable[..., np.ndarray]
Invariance = Literal["scale", "shift", "pixels"]
"""Changes that can leave a measure unchanged.

Scale: each map is multiplied by a factor of its own. Shift: a constant is added to each map. Pixels: the pixels of all
maps are reordered in the same way, so only coincidence counts, not position.
"""

_Decorated = TypeVar("_Decorated", bound=Function)


@dataclass(frozen=True)
class Measure:
    """A measure and the properties needed to interpret it.

    Attributes
    ----------
    name
        Name of the function and of the column.
    kind
        "binary" (of two masks), "soft" (of two maps), "breadth" (of one map), "binding" (of a modifier's map and the
        regions of nouns), or "against_mask" (of a map or mask and a mask from another source).
    meaning
        What the measure is, in one line.
    formula
        H and D are the masks of head and dependent, h and d their maps, p and q the maps at unit mass, and N is the
        number of pixels.
    low, high
        Range of the values.
    unit
        Unit of the values, such as "share" or "bits".
    higher
        What a higher value means.
    mirror, mirror_sign
        Where head and dependent exchange roles, the measure becomes `mirror_sign` times the measure called `mirror`:
        "ioh" for "iod", and -1 times itself for "log_area_ratio". A measure without a direction is its own mirror.
        `mirror` is None for measures that do not compare head and dependent. See `swapped`.
    chance
        Mean over random, independent places of both masks or maps, if it is the same for all areas; None if it depends
        on the areas, or if nothing is compared. Words that share a place, such as the center, are not independent.
    invariant
        Changes that leave the measure unchanged. For masks, scale and shift depend on the threshold rule.
    undefined
        Where the measure is NaN. For a measure of a pair, the pair table finds the reason of a missing value by the
        phrases "mask is empty", "mask covers everything", "masks share no pixel", "map has no mass", and "map is
        constant" in this text.
    zero_mass
        Value where a map is zero everywhere, or its mask is empty.
    use
        When to use the measure, and its limits.
    source
        Author and year; "-" if there is none.
    function
        For "binary", a function of (shared pixels, head area, dependent area, number of pixels). For "soft", a
        `SoftMeasure`. For the other kinds, the declared function.
    """

    name: str
    kind: Kind
    meaning: str
    formula: str
    low: float
    high: float
    unit: str
    higher: str
    mirror: str | None
    mirror_sign: int
    chance: float | None
    invariant: frozenset[Invariance]
    undefined: str
    zero_mass: float
    use: str
    source: str
    function: Function

    def __reduce__(self) -> tuple[Callable[..., Measure], tuple[str, str]]:
        """Pickle a measure by its name, because its function may be one inside another."""
        return _measure_called, (self.kind, self.name)

    @property
    def directional(self) -> bool:
        """Whether the measure changes when head and dependent exchange roles."""
        return self.mirror is not None and (self.mirror, self.mirror_sign) != (self.name, 1)

    @property
    def area_free(self) -> bool:
        """Whether areas alone cannot move the measure: its mean over random places is the same for all areas."""
        return self.chance is not None

    @property
    def chance_text(self) -> str:
        """The value by chance as text; "-" if it depends on the areas, or if nothing is compared."""
        return "-" if self.chance is None else f"{self.chance:g}"

    @property
    def mirror_text(self) -> str:
        """The mirror image as text."""
        if self.mirror is None:
            return "-"
        if not self.directional:
            return "the same"
        return f"`{self.mirror}`" if self.mirror_sign == 1 else f"-`{self.mirror}`"

    @property
    def range(self) -> str:
        """The range in words."""
        if np.isinf(self.low) and np.isinf(self.high):
            return "any"
        if np.isinf(self.high):
            return f"from {self.low:g}"
        return f"{self.low:g} to {self.high:g}"

    @property
    def zero_mass_text(self) -> str:
        """The value for zero mass as text."""
        return "NaN" if np.isnan(self.zero_mass) else f"{self.zero_mass:g}"

    @property
    def description(self) -> str:
        """The meaning with the range, for lists of columns."""
        return self.meaning if self.range == "any" else f"{self.meaning}, {self.range}"

    def notes(self) -> str:
        """Return the section of the docstring that the declaration generates."""
        lines = [
            f"*Formula:* ``{self.formula}``",
            f"*Range:* {self.range}",
            f"*Unit:* {self.unit}",
            f"*Higher values:* {self.higher}",
            *([f"*By chance:* {self.chance_text}, for all areas"] if self.area_free else []),
            *([f"*Roles exchanged:* {self.mirror_text}"] if self.mirror else []),
            f"*NaN where:* {self.undefined}",
            f"*Zero mass gives:* {self.zero_mass_text}",
            f"*Source:* {self.source}",
        ]
        return "\n".join(["Notes", "-----", *(f"- {line}" for line in lines)])


class Properties(TypedDict, total=False):
    """The properties of a measure that its declaration states; see `Measure`."""

    formula: str
    low: float
    high: float
    unit: str
    higher: str
    mirror: str | None
    mirror_sign: int
    chance: float | None
    invariant: tuple[Invariance, ...]
    undefined: str
    zero_mass: float
    use: str
    source: str


_DECLARED: Final[dict[Kind, dict[str, Measure]]] = {
    "binary": {},
    "soft": {},
    "breadth": {},
    "binding": {},
    "against_mask": {},
}


def _measure_called(kind: Kind, name: str) -> Measure:
    import_module("daam_syntax.maps.measures.registry")  # which declares all
    return _DECLARED[kind][name]


def declared(*kinds: Kind) -> dict[str, Measure]:
    """Return the measures of some kinds by name, in the order of their declarations."""
    return {name: measure for kind in kinds for name, measure in _DECLARED[kind].items()}


def of_masks(**properties: Unpack[Properties]) -> Callable[[_Decorated], _Decorated]:
    """Declare a measure of two masks.

    The function takes some of ``shared``, ``head_area``, ``dependent_area``, and ``n_pixels``, by these names: the
    number of pixels that the masks share, the pixels of each, and those of the grid.
    """
    defaults = Properties(invariant=("pixels",), undefined="a mask is empty", zero_mass=np.nan)

    def declare(function: _Decorated) -> _Decorated:
        given = checked(function)  # the registry passes counts that need no check
        return _declare("binary", given, _of_counts(function), {**defaults, **properties})

    return declare


def of_maps(
    prepare: Callable[[np.ndarray], np.ndarray], **properties: Unpack[Properties]
) -> Callable[[Callable[[np.ndarray, np.ndarray], np.ndarray]], SoftMeasure]:
    """Declare a measure of two maps that compares what `prepare` returns for each; see `SoftMeasure`."""
    defaults = Properties(undefined="a map has no mass", zero_mass=np.nan)

    def declare(compare: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> SoftMeasure:
        measure = SoftMeasure(prepare, compare)
        return _declare("soft", measure, measure, {**defaults, **properties})

    return declare


def of_one_map(
    **properties: Unpack[Properties],
) -> Callable[[Callable[[np.ndarray], np.ndarray]], Callable[[ArrayLike], np.ndarray]]:
    """Declare a measure of the breadth of one map, a function of maps of *shape* ``(..., y, x)``.

    The function gets float64 maps that have been checked with `as_maps`.
    """
    defaults = Properties(undefined="the map has no mass", zero_mass=np.nan)

    def declare(
        function: Callable[[np.ndarray], np.ndarray],
    ) -> Callable[[ArrayLike], np.ndarray]:
        @functools.wraps(function)
        def measure(maps: ArrayLike) -> np.ndarray:
            return function(as_maps(maps, "maps", function.__name__))

        return _declare("breadth", measure, measure, {**defaults, **properties})

    return declare


def of_binding(**properties: Unpack[Properties]) -> Callable[[_Decorated], _Decorated]:
    """Declare a measure of the binding of modifiers to nouns."""
    defaults = Properties(zero_mass=np.nan)

    def declare(function: _Decorated) -> _Decorated:
        return _declare("binding", checked(function), function, {**defaults, **properties})

    return declare


def of_two_masks(**properties: Unpack[Properties]) -> Callable[[_Decorated], _Decorated]:
    """Declare a measure of a mask against a mask from another source."""
    defaults = Properties(invariant=("pixels",), zero_mass=np.nan)

    def declare(function: _Decorated) -> _Decorated:
        return _declare("against_mask", checked(function), function, {**defaults, **properties})

    return declare


def of_maps_and_masks(
    **properties: Unpack[Properties],
) -> Callable[
    [Callable[[np.ndarray, np.ndarray], np.ndarray]], Callable[[ArrayLike, ArrayLike], np.ndarray]
]:
    """Declare a measure of maps against masks, *shapes* ``(..., y, x)``, which broadcast.

    The function gets checked maps and masks of one shape with their pixels on one axis, and none without mass.
    """
    defaults = Properties(undefined="a map has no mass, or a mask is empty", zero_mass=np.nan)

    def declare(
        function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> Callable[[ArrayLike, ArrayLike], np.ndarray]:
        @functools.wraps(function)
        def measure(maps: ArrayLike, masks: ArrayLike) -> np.ndarray:
            return _against(function, as_maps(maps, "maps", function.__name__), as_masks(masks))

        return _declare("against_mask", measure, measure, {**defaults, **properties})

    return declare


def _against(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], maps: np.ndarray, masks: np.ndarray
) -> np.ndarray:
    """Compare maps that have mass with masks that are not empty; the rest is NaN."""
    if masks.shape[-2:] != maps.shape[-2:]:
        raise ValueError(
            f"Expected maps and masks of one size (..., y, x), but got {maps.shape} and {masks.shape}; resize one of "
            "them first."
        )
    values, targets = np.broadcast_arrays(flat(maps), flat(masks))
    defined = values.any(axis=-1) & targets.any(axis=-1)
    found = np.full(defined.shape, np.nan)
    if defined.any():
        found[defined] = function(values[defined], targets[defined])
    return found


def _of_counts(function: Function) -> Function:
    """Return a function of all four counts that calls `function` with those that it takes."""
    wanted = tuple(inspect.signature(function).parameters)

    def measure(shared: Any, head_area: Any, dependent_area: Any, n_pixels: Any) -> np.ndarray:
        counts = {
            "shared": shared,
            "head_area": head_area,
            "dependent_area": dependent_area,
            "n_pixels": n_pixels,
        }
        return function(**{name: counts[name] for name in wanted})

    return measure


def _declare(
    kind: Kind, decorated: _Decorated, function: Function, properties: Mapping[str, Any]
) -> _Decorated:
    """Record a measure, and add its properties to the docstring of the decorated function."""
    doc = inspect.cleandoc(decorated.__doc__ or "")
    name = decorated.__name__
    of_a_pair = kind in ("binary", "soft")
    defaults = Properties(mirror=name if of_a_pair else None, mirror_sign=1, chance=None)
    measure = Measure(
        name=name,
        kind=kind,
        meaning=doc.split("\n", 1)[0].rstrip("."),
        function=function,
        **{
            **defaults,
            **properties,
            "invariant": frozenset(properties.get("invariant", ())),
        },
    )
    decorated.__doc__ = f"{doc}\n\n{measure.notes()}\n"
    _DECLARED[kind][measure.name] = measure
    return decorated
