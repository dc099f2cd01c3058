"""Maps of words that are identical, flat, scattered, or along the border.

The measures depend neither on the scale of a map nor on its number of pixels, since maps of models differ in both. The
limits were set on half of the images of ``benchmarks/diagnosis``, and scored on the other half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from daam_syntax.maps.diagnosis.examination import Examination
from daam_syntax.maps.diagnosis.findings import Finding, Kind
from daam_syntax.maps.measures.arrays import ratio
from daam_syntax.maps.measures.breadth import moran

IDENTICAL: Final = 0.01
"""Limit of the difference of two maps over the larger maximum.

Two positions of a text encoder have different embeddings: the maps of repeated words of the embedded model differ by a
quarter of the maximum or more. Copies differ by rounding, in 16 bits by a few thousandths.
"""

FLAT: Final = 0.06
"""Limit of the coefficient of variation: pixels differ from the mean by 6 %.

Articles and prepositions, the flattest words of the embedded model, have 0.076 and more.
"""

SCATTERED: Final = 0.5
"""Limit of Moran's I: half of the variance is of single cells.

A smooth map has an I near 1, and noise has one near 0. Noise with the variance of the map to which it is added leaves
half of the map's own I. The roughest maps of the embedded model have 0.58.
"""

BORDER: Final = 2.0
"""Limit of the rise at the border, in standard deviations of the map inside.

A background reaches the border without a step. The maps of the embedded model rise by 1.3 at most.
"""

COARSE: Final = 16
"""Cells of the shorter side on which scatter is measured, too: that of finer grids is in patches, not in pixels."""

SMALLEST: Final = 8
"""Cells of the shorter side below which scatter and border are not judged: chance makes such maps of a few cells."""


PATTERNS: Final[tuple[Kind, ...]] = ("scattered", "border")
"""Kinds that need a grid with enough cells."""


def contrast(maps: np.ndarray) -> np.ndarray:
    """Return the coefficient of variation of maps, standard deviation over mean; 0 for a map without mass.

    *Shape:* ``(word, y, x)``; the result has the *shape* ``(word,)``.
    """
    return np.nan_to_num(ratio(maps.std(axis=(-2, -1)), maps.mean(axis=(-2, -1))))


def smoothness(maps: np.ndarray) -> np.ndarray:
    """Return Moran's I of maps, on their own grid or on a coarse one, whichever is less; NaN for a constant map.

    *Shape:* ``(word, y, x)``; the result has the *shape* ``(word,)``.
    """
    return np.fmin(moran(maps), moran(_coarse(maps)))


def _coarse(maps: np.ndarray) -> np.ndarray:
    """Average maps over blocks, to a grid with about `COARSE` cells on the shorter side."""
    height, width = maps.shape[-2:]
    size = max(1, min(height, width) // COARSE)
    rows, columns = height // size, width // size
    cut = maps[..., : rows * size, : columns * size]
    return cut.reshape(*maps.shape[:-2], rows, size, columns, size).mean(axis=(-3, -1))


def border_rise(maps: np.ndarray) -> np.ndarray:
    """Return how far maps rise from the cells next to the border to those at the border.

    It is the difference between the means of two strips, over the standard deviation of the map inside. The largest is
    returned: of the four sides and of all sides together, and of strips as wide as one cell and as a sixteenth of the
    shorter side. It is NaN if the map is constant inside.

    *Shape:* ``(word, y, x)``; the result has the *shape* ``(word,)``.
    """
    widths = {1, max(1, round(min(maps.shape[-2:]) / COARSE))}
    return np.max([_rise(maps, width) for width in widths], axis=0)


def _rise(maps: np.ndarray, width: int) -> np.ndarray:
    outer, next_to_it = _sides(maps, width), _sides(_without_border(maps, width), width)
    # All sides together first, each weighted by its number of cells.
    pairs = [(_joined(outer), _joined(next_to_it)), *zip(outer, next_to_it, strict=True)]
    rises = [one.mean(axis=-1) - other.mean(axis=-1) for one, other in pairs]
    return ratio(np.max(rises, axis=0), _without_border(maps, width).std(axis=(-2, -1)))


def _without_border(maps: np.ndarray, width: int) -> np.ndarray:
    return maps[..., width:-width, width:-width]


def _sides(maps: np.ndarray, width: int) -> list[np.ndarray]:
    """Return the cells at the top, bottom, left, and right. *Shape:* ``(word, cell)`` each."""
    strips = (
        maps[..., :width, :],
        maps[..., -width:, :],
        maps[..., :, :width],
        maps[..., :, -width:],
    )
    return [strip.reshape(*maps.shape[:-2], -1) for strip in strips]


def _joined(sides: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(sides, axis=-1)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two maps, over the larger of their maxima; 0 if both are empty."""
    largest = max(float(one.max()), float(other.max()))
    return float(np.abs(one - other).max()) / largest if largest else 0.0


def find_identical(examined: Examination) -> Iterator[Finding]:
    """Find words that occur several times, and whose occurrences have the same map."""
    occurrences: dict[str, list[int]] = defaultdict(list)
    for word in examined.word_maps:
        occurrences[examined.sentence[word].text.lower()].append(word)
    maps = dict(zip(examined.word_maps, examined.stack, strict=True))
    for same in occurrences.values():
        pairs = {pair: difference(maps[pair[0]], maps[pair[1]]) for pair in combinations(same, 2)}
        alike = {pair: value for pair, value in pairs.items() if value < IDENTICAL}
        if alike:
            words = tuple(sorted({word for pair in alike for word in pair}))
            yield Finding(
                "identical",
                words,
                examined.texts(words),
                "largest difference of two of their maps, over the maximum,",
                (max(alike.values()),),
                IDENTICAL,
                "The occurrences have one map: the model received the same embedding for them, or the map was copied. "
                "Comparing them shows nothing.",
                "another word for one of them, such as a synonym; in maps of your own, a map for each occurrence.",
            )


def find_flat(examined: Examination) -> Iterator[Finding]:
    """Find words whose maps are nearly the same everywhere."""
    values = contrast(examined.stack)
    yield from _finding(
        examined,
        "flat",
        values,
        values < FLAT,
        FLAT,
        "coefficient of variation",
        "The word gets nearly the same attention everywhere, so its mask at a share of the maximum covers the whole "
        "image and overlaps with every other mask.",
        "a threshold that ignores what all pixels have (threshold='minmax:0.4'), or layers that distinguish pixels "
        "(trace with keep=('layer',), and diagnose maps.select(layers=path) for each).",
    )


def find_scattered(examined: Examination) -> Iterator[Finding]:
    """Find words whose maps are as rough as noise."""
    if not can_judge_patterns(examined):
        return
    values = smoothness(examined.stack)
    yield from _finding(
        examined,
        "scattered",
        values,
        values < SCATTERED,
        SCATTERED,
        "Moran's I",
        "Neighboring cells have unrelated values: at least half of the map is noise, and its mask is scattered over "
        "the image.",
        "the mean of more steps, layers, and attention heads (trace without steps= and layers=, or select more).",
    )


def find_border(examined: Examination) -> Iterator[Finding]:
    """Find words whose maps rise along the border."""
    if not can_judge_patterns(examined):
        return
    values = border_rise(examined.stack)
    yield from _finding(
        examined,
        "border",
        values,
        values > BORDER,
        BORDER,
        "rise at the border in standard deviations",
        "The map is high along the border of the image, with a step that neither a background nor an object at the "
        "side makes. Its maximum, its mask, and its overlap are determined by the border.",
        "other layers (trace with keep=('layer',), and diagnose maps.select(layers=path) for each), or the border "
        "replaced by the cells next to it (maps.with_values(np.pad(maps.mean[:, 1:-1, 1:-1], ((0, 0), (1, 1), "
        "(1, 1)), 'edge'))).",
    )


def can_judge_patterns(examined: Examination) -> bool:
    """Return whether the grid has enough cells to judge scatter and border."""
    return min(examined.token_maps.shape[-2:]) >= SMALLEST


def _finding(
    examined: Examination,
    kind: Kind,
    values: np.ndarray,
    is_off: np.ndarray,
    limit: float,
    measure: str,
    meaning: str,
    remedy: str,
) -> Iterator[Finding]:
    """Report the words that are off, with their values; none of them, no finding."""
    words = tuple(np.array(list(examined.word_maps), dtype=int)[is_off].tolist())
    if words:
        sizes = tuple(values[is_off].tolist())
        texts = examined.texts(words)
        yield Finding(kind, words, texts, measure, sizes, limit, meaning, remedy)


def reasons_not_checked(examined: Examination) -> Iterator[tuple[Kind, str]]:
    """Yield the kinds of this module that cannot be checked, each with the reason."""
    if not can_judge_patterns(examined):
        height, width = examined.token_maps.shape[-2:]
        for kind in PATTERNS:
            yield (
                kind,
                f"a grid of {height} x {width} has too few cells, less than {SMALLEST} on a side",
            )
