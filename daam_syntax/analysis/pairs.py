"""The pair table: every head with its dependent, and every unrelated pair as the control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from daam_syntax.analysis.identity import image_columns
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps import HeatMaps, Threshold, bicubic, measures, parse_threshold

PAIR_COLUMNS: Final = {
    "prompt_id": "Short name of the prompt, the same in every run",
    "prompt": "The prompt's text",
    "image": "Running number of the image in the list that was measured",
    "seed": "Number of the seed; missing where it is not known",
    "kind": '"dependency" or "unrelated" (the control)',
    "scheme": "Whose edges: native (the parser's own), ud, enhanced",
    "relation": 'Label of the edge; "unrelated" for the control',
    "head_index": "Index of the head in the parse (of an unrelated pair: the earlier word)",
    "dependent_index": "Index of the dependent (of an unrelated pair: the later word)",
    "head": "Text of the head",
    "dependent": "Text of the dependent",
    "head_pos": "Universal part of speech of the head",
    "dependent_pos": "Universal part of speech of the dependent",
    "linear_distance": "Tokens from head to dependent; negative if the dependent stands first",
    "threshold": "Rule that made the masks",
    "iou": "Intersection over union of the masks, 0 to 1",
    "iod": "Intersection over the dependent's area, 0 to 1",
    "ioh": "Intersection over the head's area, 0 to 1",
    "head_area": "Share of the image that the head's mask covers",
    "dependent_area": "Share of the image that the dependent's mask covers",
    "log_area_ratio": "Natural logarithm of head area over dependent area",
    "lift": "Intersection against that of independent masks: 1 is chance",
    "soft_iou": "Ruzicka similarity of the maps at unit mass, 0 to 1; needs no threshold",
    "reason": 'Why measures are missing; "" where none is',
}
"""Columns of the pair table and their meanings."""

MEASURES: Final = (
    "iou",
    "iod",
    "ioh",
    "head_area",
    "dependent_area",
    "log_area_ratio",
    "lift",
    "soft_iou",
)
"""Columns of the pair table that hold measures."""


@dataclass(frozen=True)
class _Pair:
    kind: Literal["dependency", "unrelated"]
    relation: str
    head: int
    dependent: int


def measure_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    schemes: Sequence[str] = ("native",),
    threshold: str | Threshold | Sequence[str | Threshold] = "relative:0.4",
    size: Literal["image", "grid"] | tuple[int, int] = "image",
    unrelated: bool = True,
) -> pd.DataFrame:
    """Measure the attention overlap of every head with its dependent, and of unrelated pairs.

    Parameters
    ----------
    maps
        The maps of one image, or of several.
    schemes
        Whose edges; each scheme has rows of its own.
    threshold
        Rule, or several rules, that make masks; each has rows of its own.
    size
        Where the maps are compared: upscaled to the image, on the grid of the recording, or at a size (height,
        width).
    unrelated
        Whether to add the control: all pairs of words that no edge of the scheme joins, punctuation and white
        space left out.

    Returns
    -------
    pandas.DataFrame
        One row per image, scheme, pair and threshold, with the columns of `PAIR_COLUMNS`. A pair that cannot be
        measured is a row with NaN and a reason.

    Raises
    ------
    ThresholdError
        If there is no such rule.
    """
    images = [maps] if isinstance(maps, HeatMaps) else list(maps)
    rules = [threshold] if isinstance(threshold, str | Threshold) else list(threshold)
    parsed = [parse_threshold(rule) for rule in rules]
    tables = [
        _measure_image(image, number, scheme, rule, size, unrelated)
        for number, image in enumerate(images)
        for scheme in schemes
        for rule in parsed
    ]
    if not tables:
        return pd.DataFrame(columns=list(PAIR_COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(PAIR_COLUMNS)]


def _pairs(sentence: Sentence, scheme: str, unrelated: bool) -> Iterator[_Pair]:
    joined = set()
    for edge in sentence.edges_of(scheme):
        joined.add(frozenset((edge.head, edge.dependent)))
        yield _Pair("dependency", edge.relation, edge.head, edge.dependent)
    if unrelated:
        words = [t.index for t in sentence.tokens if t.text.strip() and t.pos != "PUNCT"]
        for first, second in combinations(words, 2):
            if frozenset((first, second)) not in joined:
                yield _Pair("unrelated", "unrelated", first, second)


def _measure_image(
    maps: HeatMaps,
    number: int,
    scheme: str,
    rule: Threshold,
    size: Literal["image", "grid"] | tuple[int, int],
    unrelated: bool,
) -> pd.DataFrame:
    sentence = maps.sentence
    pairs = list(_pairs(sentence, scheme, unrelated))
    place = {"image": maps.image_size, "grid": maps.grid}.get(size, size)  # type: ignore[arg-type]
    values, reasons = _measure(maps, pairs, rule, place)  # type: ignore[arg-type]
    heads = [sentence[pair.head] for pair in pairs]
    dependents = [sentence[pair.dependent] for pair in pairs]
    columns: dict[str, Any] = {
        **image_columns(maps, number),
        "kind": [pair.kind for pair in pairs],
        "scheme": scheme,
        "relation": [pair.relation for pair in pairs],
        "head_index": [pair.head for pair in pairs],
        "dependent_index": [pair.dependent for pair in pairs],
        "head": [token.text for token in heads],
        "dependent": [token.text for token in dependents],
        "head_pos": [token.pos for token in heads],
        "dependent_pos": [token.pos for token in dependents],
        "linear_distance": [pair.dependent - pair.head for pair in pairs],
        "threshold": str(rule),
        **values,
        "reason": reasons,
    }
    return pd.DataFrame(columns, index=range(len(pairs)))


def _measure(
    maps: HeatMaps, pairs: Sequence[_Pair], rule: Threshold, size: tuple[int, int]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Measure all pairs of an image at once: one upscaling, one matrix of intersections."""
    row_of = {index: row for row, index in enumerate(maps.mapped)}
    words = bicubic(maps.stack(), size).astype(np.float64)
    masks = rule.apply(words)
    shared = measures.intersections(masks)
    areas = np.diag(shared)
    n_pixels = size[0] * size[1]

    measurable = [p.head in row_of and p.dependent in row_of for p in pairs]
    head = np.array([row_of[p.head] for p, ok in zip(pairs, measurable, strict=True) if ok], int)
    dependent = np.array(
        [row_of[p.dependent] for p, ok in zip(pairs, measurable, strict=True) if ok], int
    )
    both = shared[head, dependent]
    a, b = areas[head], areas[dependent]
    found = {
        "iou": measures.iou(both, a, b),
        "iod": measures.iod(both, a, b),
        "ioh": measures.ioh(both, a, b),
        "head_area": a / n_pixels,
        "dependent_area": b / n_pixels,
        "log_area_ratio": measures.log_area_ratio(a, b),
        "lift": measures.lift(both, a, b, n_pixels),
        "soft_iou": np.array(
            [measures.soft_iou(words[i], words[j]) for i, j in zip(head, dependent, strict=True)],
            dtype=float,
        ),
    }
    values = {name: np.full(len(pairs), np.nan) for name in MEASURES}
    for name, measured in found.items():
        values[name][measurable] = measured
    return values, [_reason(maps, pair, row_of, areas) for pair in pairs]


def _reason(maps: HeatMaps, pair: _Pair, row_of: dict[int, int], areas: np.ndarray) -> str:
    """Say why a pair has missing measures."""
    problems = []
    for role, index in (("head", pair.head), ("dependent", pair.dependent)):
        if index not in row_of:
            word = maps.words[index]
            problems.append(f"{role} is {word.status}: {word.reason}")
        elif areas[row_of[index]] == 0:
            problems.append(f"{role}'s mask is empty")
    return "; ".join(problems)
