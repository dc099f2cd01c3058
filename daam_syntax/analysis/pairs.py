"""The pair table: every head with its dependent, and every unrelated pair as the control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

import networkx as nx
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
    "head_lemma": "Lemma of the head",
    "dependent_lemma": "Lemma of the dependent",
    "head_pos": "Universal part of speech of the head",
    "dependent_pos": "Universal part of speech of the dependent",
    "head_subwords": "Number of the head's subwords",
    "dependent_subwords": "Number of the dependent's subwords",
    "linear_distance": "Tokens from head to dependent; negative if the dependent stands first",
    "tree_distance": "Edges of the scheme between the words, 1 for a dependency; missing where no path joins them",
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


Size = Literal["image", "grid"] | tuple[int, int]
"""Where maps are compared: at the image's size, on the recording's grid, or at (height, width)."""


@dataclass(frozen=True)
class _Pair:
    kind: Literal["dependency", "unrelated"]
    relation: str
    head: int
    dependent: int


def measure_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    schemes: str | Sequence[str] = ("native",),
    threshold: str | Threshold | Sequence[str | Threshold] = "relative:0.4",
    size: Size = "image",
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
    ValueError
        If a sentence has no such scheme, or the size is none.
    """
    images = [maps] if isinstance(maps, HeatMaps) else list(maps)
    rules = [threshold] if isinstance(threshold, str | Threshold) else list(threshold)
    parsed = [parse_threshold(rule) for rule in rules]
    wanted = [schemes] if isinstance(schemes, str) else list(schemes)
    tables = []
    for number, image in enumerate(images):
        words = bicubic(image.stack(), _pixels(image, size))
        for scheme in wanted:
            pairs = list(_pairs(image.sentence, scheme, unrelated))
            soft = _soft_overlaps(image, pairs, words)
            tables += [
                _measure_image(image, number, scheme, rule, pairs, words, soft) for rule in parsed
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


def _pixels(maps: HeatMaps, size: Size) -> tuple[int, int]:
    """Return the height and width that a size means for an image."""
    if size == "image":
        return maps.image_size
    if size == "grid":
        return maps.grid
    if isinstance(size, str) or len(size) != 2 or min(size) < 1:
        raise ValueError(f'Expected size "image", "grid" or (height, width), but got {size!r}.')
    return size


def _measure_image(
    maps: HeatMaps,
    number: int,
    scheme: str,
    rule: Threshold,
    pairs: Sequence[_Pair],
    words: np.ndarray,
    soft: np.ndarray,
) -> pd.DataFrame:
    sentence = maps.sentence
    values, reasons = _measure(maps, pairs, rule, words)
    values["soft_iou"] = soft
    heads = [sentence[pair.head] for pair in pairs]
    dependents = [sentence[pair.dependent] for pair in pairs]
    n_subwords = [len(word.subwords) for word in maps.words]
    distance = _tree_distances(sentence, scheme)
    columns: dict[str, Any] = {
        **image_columns(maps, number),
        "kind": [pair.kind for pair in pairs],
        "scheme": scheme,
        "relation": [pair.relation for pair in pairs],
        "head_index": [pair.head for pair in pairs],
        "dependent_index": [pair.dependent for pair in pairs],
        "head": [token.text for token in heads],
        "dependent": [token.text for token in dependents],
        "head_lemma": [token.lemma for token in heads],
        "dependent_lemma": [token.lemma for token in dependents],
        "head_pos": [token.pos for token in heads],
        "dependent_pos": [token.pos for token in dependents],
        "head_subwords": [n_subwords[pair.head] for pair in pairs],
        "dependent_subwords": [n_subwords[pair.dependent] for pair in pairs],
        "linear_distance": [pair.dependent - pair.head for pair in pairs],
        "tree_distance": pd.array(
            [distance[pair.head].get(pair.dependent) for pair in pairs], dtype="Int64"
        ),
        "threshold": str(rule),
        **values,
        "reason": reasons,
    }
    return pd.DataFrame(columns, index=range(len(pairs)))


def _tree_distances(sentence: Sentence, scheme: str) -> dict[int, dict[int, int]]:
    """Return the number of edges from each token to each that a path leads to, whatever its direction."""
    graph = sentence.graph(scheme).to_undirected()
    return dict(nx.all_pairs_shortest_path_length(graph))


def _rows(maps: HeatMaps, pairs: Sequence[_Pair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which pairs have both maps (bool), and the rows of their heads' and dependents' maps."""
    row_of = {index: row for row, index in enumerate(maps.mapped)}
    rows = np.array([(row_of.get(p.head, -1), row_of.get(p.dependent, -1)) for p in pairs], int)
    rows = rows.reshape(len(pairs), 2)
    measurable = np.all(rows >= 0, axis=1)
    head, dependent = rows[measurable].T
    return measurable, head, dependent


def _soft_overlaps(maps: HeatMaps, pairs: Sequence[_Pair], words: np.ndarray) -> np.ndarray:
    """Measure the pairs' maps without a threshold, shape (pair,); NaN where one is missing."""
    measurable, head, dependent = _rows(maps, pairs)
    soft = np.full(len(pairs), np.nan)
    # One pair at a time: all pairs' maps at image size would not fit into memory.
    soft[measurable] = [
        measures.soft_iou(words[i], words[j]) for i, j in zip(head, dependent, strict=True)
    ]
    return soft


def _measure(
    maps: HeatMaps, pairs: Sequence[_Pair], rule: Threshold, words: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Measure the masks of all pairs of an image with one matrix of intersections."""
    shared = measures.intersections(rule.apply(words))
    areas = np.diag(shared)
    n_pixels = words.shape[-2] * words.shape[-1]
    measurable, head, dependent = _rows(maps, pairs)
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
    }
    values = {name: np.full(len(pairs), np.nan) for name in MEASURES}
    for name, measured in found.items():
        values[name][measurable] = measured
    area_of = dict(zip(maps.mapped, areas, strict=True))
    return values, [_reason(maps, pair, area_of) for pair in pairs]


def _reason(maps: HeatMaps, pair: _Pair, area_of: Mapping[int, float]) -> str:
    """Say why a pair has missing measures."""
    problems = []
    for role, index in (("head", pair.head), ("dependent", pair.dependent)):
        if index not in area_of:
            word = maps.words[index]
            problems.append(f"{role} is {word.status}: {word.reason}")
        elif area_of[index] == 0:
            problems.append(f"{role}'s mask is empty")
    return "; ".join(problems)
