"""Measures of an image that could predict a failure: overlap of maps, binding of modifiers, neglect of nouns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import binding_table, measure_pairs
from daam_syntax.analysis.tables.binding import MODIFIERS
from daam_syntax.language import Edge, Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures import neglect

OVERLAP: Final = ("head_dependent_iou", "noun_noun_iou", "noun_noun_phi")
BINDING: Final = ("binding_margin",)
NEGLECT: Final = ("neglect", "least_share", "least_attention")

MEASURES: Final = {"overlap": OVERLAP, "binding": BINDING, "neglect": NEGLECT}
"""Sets of measures, and their columns."""

DESCRIPTIONS: Final = {
    "head_dependent_iou": "mean IoU of heads and dependents",
    "noun_noun_iou": "largest IoU of two nouns",
    "noun_noun_phi": "largest phi of two nouns",
    "binding_margin": "smallest binding margin of a modifier or predicate adjective",
    "neglect": "largest neglect of a noun",
    "least_share": "smallest attention to a noun, relative to the mean of the nouns",
    "least_attention": "smallest attention to a noun",
}
"""What each column measures, of an image; the neglect of a noun is 1 minus its largest attention."""

EXPECTED: Final = dict.fromkeys(DESCRIPTIONS, 1) | {
    "binding_margin": -1,
    "least_share": -1,
    "least_attention": -1,
}
"""1 if larger values should come with failures, -1 if smaller ones should."""

_NOUNS: Final = ("NOUN", "PROPN")
_PARTS_OF_NAMES: Final = ("compound", "flat", "fixed")
_ATTRIBUTES: Final = "attributes"
_PREDICATE: Final = "predicate"


def object_nouns(sentence: Sentence, places: frozenset[str]) -> list[int]:
    """Return the indices of the nouns of objects: not those of places, and not parts of longer names."""
    parts = {e.dependent for e in sentence.edges_of("ud") if e.relation in _PARTS_OF_NAMES}
    return [
        token.index
        for token in sentence.tokens
        if token.pos in _NOUNS and token.index not in parts and token.lemma not in places
    ]


def measure_image(maps: HeatMaps, places: frozenset[str], threshold: str) -> dict[str, float]:
    """Measure the maps of an image.

    Parameters
    ----------
    maps
        The maps of one image.
    places
        Nouns of places, which are not objects.
    threshold
        Threshold rule for masks.

    Returns
    -------
    dict
        A value for each column of `DESCRIPTIONS`; NaN where the prompt has no such words, or no map of them.
    """
    nouns = [index for index in object_nouns(maps.sentence, places) if index in maps.mapped]
    return _overlap(maps, set(nouns), threshold) | _binding(maps, threshold) | _neglect(maps, nouns)


def _overlap(maps: HeatMaps, nouns: set[int], threshold: str) -> dict[str, float]:
    pairs = measure_pairs(maps, schemes="ud", threshold=threshold, measures=("iou", "phi"))
    related = pairs[(pairs["kind"] == "dependency") & (pairs["relation"] != "punct")]
    of_nouns = pairs[pairs["head_index"].isin(nouns) & pairs["dependent_index"].isin(nouns)]
    return {
        "head_dependent_iou": _of(related["iou"], np.mean),
        "noun_noun_iou": _of(of_nouns["iou"], np.max),
        "noun_noun_phi": _of(of_nouns["phi"], np.max),
    }


def _binding(maps: HeatMaps, threshold: str) -> dict[str, float]:
    table = binding_table(
        maps.with_sentence(_with_attributes(maps.sentence)),
        relations=(*MODIFIERS, _PREDICATE),
        scheme=_ATTRIBUTES,
        threshold=threshold,
    )
    return {"binding_margin": _of(table["binding_margin"], np.min)}


def _with_attributes(sentence: Sentence) -> Sentence:
    """Add a scheme in which a predicate adjective depends on its noun, as a modifier does: "the cat is red"."""
    edges = sentence.edges_of("ud")
    kept = [e for e in edges if e.relation in (*MODIFIERS, *_PARTS_OF_NAMES)]
    for edge in edges:
        head, dependent = sentence[edge.head], sentence[edge.dependent]
        if edge.relation == "nsubj" and head.pos == "ADJ" and dependent.pos in _NOUNS:
            kept.append(Edge(edge.dependent, edge.head, _PREDICATE))
        if edge.relation == "acl:relcl" and head.pos in _NOUNS and dependent.pos == "ADJ":
            kept.append(Edge(edge.head, edge.dependent, _PREDICATE))
    return replace(sentence, edges={**sentence.edges, _ATTRIBUTES: tuple(kept)})


def _neglect(maps: HeatMaps, nouns: Sequence[int]) -> dict[str, float]:
    if not nouns:
        return dict.fromkeys(NEGLECT, float("nan"))
    values = maps.stack(nouns)
    means = values.mean(axis=(-2, -1), dtype=np.float64)
    several = len(nouns) > 1 and means.sum() > 0
    return {
        "neglect": float(neglect(values).max()),
        "least_share": float(means.min() / means.mean()) if several else float("nan"),
        "least_attention": float(means.min()),
    }


def _of(values: pd.Series, summary: Any) -> float:
    """Return a summary of the values that are known; NaN if none is."""
    known = values.dropna().to_numpy(float)
    return float(summary(known)) if len(known) else float("nan")
