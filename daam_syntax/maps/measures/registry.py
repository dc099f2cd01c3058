"""All measures by name, and functions that compute several of them for many words at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, cast

import numpy as np

# Importing these modules declares their measures.
import daam_syntax.maps.measures.against_masks
import daam_syntax.maps.measures.binding
import daam_syntax.maps.measures.breadth
import daam_syntax.maps.measures.soft  # noqa: F401
from daam_syntax.maps.measures.arrays import as_maps
from daam_syntax.maps.measures.declaration import Measure, declared
from daam_syntax.maps.measures.masks import PackedMasks
from daam_syntax.maps.measures.soft_measure import SoftMeasure
from daam_syntax.util.arguments.checks import checked

PAIR_MEASURES: Final[Mapping[str, Measure]] = declared("binary", "soft")
"""Measures of a pair of words, by name."""

DEFAULT_PAIR_MEASURES: Final = (
    "iou",
    "iod",
    "ioh",
    "head_area",
    "dependent_area",
    "log_area_ratio",
    "phi",
    "lift",
    "soft_iou",
)
"""Measures of a pair table by default."""

BREADTH_MEASURES: Final[Mapping[str, Measure]] = declared("breadth")
"""Measures of the breadth of one word's map, by name."""

BINDING_MEASURES: Final[Mapping[str, Measure]] = declared("binding")
"""Measures of the binding of modifiers to nouns, by name; see `daam_syntax.analysis.binding_table`."""

MASK_MEASURES: Final[Mapping[str, Measure]] = declared("against_mask")
"""Measures of maps against masks from other sources, such as segmentations, by name."""


class _Columns(Protocol):
    """Values by name: a dictionary or a data frame."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


@checked
def choose(names: str | Iterable[str], registry: Mapping[str, Measure]) -> list[Measure]:
    """Return measures by name, in the given order and each once.

    Raises
    ------
    ValueError
        If a name is unknown. The message lists all measures.
    """
    wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in registry]
    if unknown:
        raise ValueError(
            f"Expected measures among {', '.join(registry)}, but got {', '.join(map(repr, unknown))}."
        )
    return [registry[name] for name in wanted]


def swapped(columns: _Columns) -> dict[str, Any]:
    """Return the measures of pairs whose head and dependent exchange roles.

    Parameters
    ----------
    columns
        Values of measures by name, or a table with a column for each. Each value can be a number, an array, or a
        column; other columns are ignored.

    Returns
    -------
    dict
        Maps each measure's name to its values after the exchange, in the given order: IoH for ``"iod"``, the negative
        value for ``"log_area_ratio"``, and the same value for a measure without a direction.

    Raises
    ------
    ValueError
        If a measure is among the columns without its mirror image, such as ``"iod"`` without ``"ioh"``.

    Examples
    --------
    >>> swapped({"iod": 0.5, "ioh": 0.25, "log_area_ratio": -0.7})
    {'iod': 0.25, 'ioh': 0.5, 'log_area_ratio': 0.7}
    >>> table = table.assign(**swapped(table))  # doctest: +SKIP
    """
    values = dict(columns.items())
    present = [PAIR_MEASURES[name] for name in values if name in PAIR_MEASURES]
    lacking = [m for m in present if m.mirror not in values]
    if lacking:
        pairs = ", ".join(f"{m.mirror} beside {m.name}" for m in lacking)
        raise ValueError(
            f"Expected the mirror image of each measure, but {pairs} is not there; measure both."
        )
    return {
        m.name: values[str(m.mirror)] if m.mirror_sign == 1 else -values[str(m.mirror)]
        for m in present
    }


@checked
def measure_masks(
    masks: PackedMasks, head: np.ndarray, dependent: np.ndarray, measures: Iterable[Measure]
) -> dict[str, np.ndarray]:
    """Compute measures of pairs of masks.

    Parameters
    ----------
    masks
        Masks of all words.
    head, dependent
        Rows of `masks`. *Shape:* ``(pair,)`` each.
    measures
        Measures; those of kind "binary" are computed.

    Returns
    -------
    dict
        Maps each measure's name to its values. *Shape:* ``(pair,)``.
    """
    chosen = [m for m in measures if m.kind == "binary"]
    if not chosen:
        return {}
    areas = masks.areas[head], masks.areas[dependent]
    shared = masks.shared(head, dependent)
    return {m.name: m.function(shared, *areas, masks.n_pixels) for m in chosen}


@checked
def measure_maps(
    words: np.ndarray, head: np.ndarray, dependent: np.ndarray, measures: Iterable[Measure]
) -> dict[str, np.ndarray]:
    """Compute measures of pairs of maps without a threshold.

    Parameters
    ----------
    words
        Non-negative maps of all words of any number of images. *Shape:* ``(word, y, x)``.
    head, dependent
        Rows of `words`. *Shape:* ``(pair,)`` each.
    measures
        Measures; those of kind "soft" are computed.

    Returns
    -------
    dict
        Maps each measure's name to its values. *Shape:* ``(pair,)``.

    Raises
    ------
    ValueError
        If a value is negative or not finite.
    """
    chosen = [m for m in measures if m.kind == "soft"]
    if not chosen:
        return {}
    maps = as_maps(words, "words", "measure_maps")
    return {m.name: _compare(cast(SoftMeasure, m.function), maps, head, dependent) for m in chosen}


def _compare(
    measure: SoftMeasure, maps: np.ndarray, head: np.ndarray, dependent: np.ndarray
) -> np.ndarray:
    prepared = measure.prepare(maps)
    at_once = 2**18 // max(1, prepared[:1].size)  # a few megabytes, which stay in the cache
    if at_once < 4:  # do not copy maps this large to compare them
        return np.array(
            [
                measure.compare(prepared[i], prepared[j])
                for i, j in zip(head, dependent, strict=True)
            ]
        )
    values = [
        measure.compare(prepared[head[i : i + at_once]], prepared[dependent[i : i + at_once]])
        for i in range(0, len(head), at_once)
    ]
    return np.concatenate(values) if values else np.zeros(0)
