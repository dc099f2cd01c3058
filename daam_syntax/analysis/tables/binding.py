"""The binding table: how much of each modifier's attention lies on its own noun and on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.identity import (
    image_columns,
    with_map_kind,
    without_plain_kind,
)
from daam_syntax.analysis.tables.image_batches import Batch, batches
from daam_syntax.language import Edge, Sentence
from daam_syntax.maps import HeatMaps, Threshold, parse_threshold
from daam_syntax.maps.measures import (
    BINDING_MEASURES,
    binding_margin,
    excess_shares,
    neglect,
    other_share,
    own_share,
    region_shares,
)
from daam_syntax.util.arguments.checks import OWN, checked

MODIFIERS: Final = ("amod", "compound", "nummod")
"""Relations of the modifiers in the binding table by default."""

_NOUNS: Final = ("NOUN", "PROPN")
_PARTS_OF_NAMES: Final = ("compound", "flat", "fixed")

BINDING_COLUMNS: Final = {
    "prompt_id": "Short name of the prompt, the same in every run",
    "prompt": "The prompt's text",
    "image": "Number of the image in the measured list, from 0",
    "seed": "Seed of the image (in a run, the seed index); missing if unknown",
    "kind": '"dependency", as in the pair table',
    "scheme": "Dependency scheme of the edge",
    "relation": "Relation of the modifier to its noun",
    "head_index": "Index of the noun",
    "dependent_index": "Index of the modifier",
    "head": "Text of the noun",
    "dependent": "Text of the modifier",
    "other_index": "Index of the other noun whose region gets most of the modifier's attention",
    "other": "Text of that noun",
    "threshold": "Rule of the regions",
    "head_area": "Share of the image that the noun's region covers, which is the own share of a flat map",
    "other_area": "Share of the image that the region of the noun in `other` covers",
    "mean_other_area": "Mean share of the image that the region of another noun covers",
    "background_area": "Share of the image outside the regions of all nouns",
    "n_others": "Number of other nouns with a region",
    **{name: measure.description for name, measure in BINDING_MEASURES.items()},
    "reason": 'Why measures are missing; "" if none is',
}
"""Columns of the binding table and their meanings."""


@checked(maps=OWN)
def binding_table(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    relations: str | Sequence[str] = MODIFIERS,
    scheme: str = "ud",
    threshold: str | Threshold = "relative:0.4",
) -> pd.DataFrame:
    """Tabulate how much of each modifier's attention lies on its own noun, and how much on another.

    The region of a noun is the mask of its map at the size of the image. Attention in overlapping regions counts in
    each of them. Every noun has a region, except parts of longer names that do not denote an object of their own
    ("fire" in "fire truck").

    A binding margin above 0 on average, over prompts, says that modifiers attend more to their own noun than to other
    nouns. The margin of one modifier is also above or below 0 by chance.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    relations
        Relation or relations of modifiers to their nouns. Only edges whose head is a noun count.
    scheme
        Dependency scheme of the edges.
    threshold
        Rule that converts maps to regions. See `parse_threshold`.

    Returns
    -------
    pandas.DataFrame
        One row per image, noun, and modifier, with the columns of `BINDING_COLUMNS`. An undefined measure is NaN, with
        a reason. `summarize` accepts the table, with ``measure="binding_margin"`` or another of `BINDING_MEASURES`.

    Raises
    ------
    ThresholdError
        If the rule is unknown.
    ValueError
        If a sentence does not have the scheme.
    """
    rule = parse_threshold(threshold)
    wanted = {relations} if isinstance(relations, str) else set(relations)
    rows = [row for batch in batches(maps) for row in _rows(batch, rule, scheme, wanted)]
    table = pd.DataFrame(rows, columns=with_map_kind(list(BINDING_COLUMNS)))
    return without_plain_kind(table).astype({"other_index": "Int64", "n_others": "Int64"})


def _rows(
    batch: Batch, rule: Threshold, scheme: str, relations: set[str]
) -> Iterator[dict[str, Any]]:
    for number, maps, row_of in zip(batch.numbers, batch.images, batch.rows, strict=True):
        sentence = maps.sentence
        nouns = [i for i in _nouns(sentence, scheme) if i in row_of]
        values = batch.words[[row_of[i] for i in nouns]]
        regions = dict(zip(nouns, rule.apply(values), strict=True))
        for edge in sentence.edges_of(scheme):
            if edge.relation in relations and sentence[edge.head].pos in _NOUNS:
                row = row_of.get(edge.dependent)
                own = None if row is None else batch.words[row]
                yield {
                    **image_columns(maps, number),
                    "kind": "dependency",
                    "scheme": scheme,
                    "relation": edge.relation,
                    "head_index": edge.head,
                    "dependent_index": edge.dependent,
                    "head": sentence[edge.head].text,
                    "dependent": sentence[edge.dependent].text,
                    "threshold": str(rule),
                    **_measures(maps, edge, own, regions),
                }


def _nouns(sentence: Sentence, scheme: str) -> list[int]:
    """Return the indices of the nouns that are not part of a longer name."""
    parts = {e.dependent for e in sentence.edges_of(scheme) if e.relation in _PARTS_OF_NAMES}
    return [t.index for t in sentence.tokens if t.pos in _NOUNS and t.index not in parts]


def _measures(
    maps: HeatMaps, edge: Edge, modifier: np.ndarray | None, regions: dict[int, np.ndarray]
) -> dict[str, Any]:
    """Measure the map of a modifier against the regions of its own noun and of other nouns. *Shape:* ``(y, x)``."""
    found: dict[str, Any] = {}
    reasons = []
    for role, index in (("head", edge.head), ("dependent", edge.dependent)):
        word = maps.words[index]
        if word.status != "mapped":
            reasons.append(f"{role} is {word.status}: {word.reason}")
    if edge.head in maps.mapped:
        found["neglect"] = float(neglect(maps.stack([edge.head]))[0])
    if edge.head in regions:
        found["head_area"] = float(regions[edge.head].mean())
        if not found["head_area"]:
            reasons.append("head's mask is empty")
    elif edge.head in maps.mapped:
        reasons.append("head is part of a longer name")
    others = {
        index: region
        for index, region in regions.items()
        if index not in (edge.head, edge.dependent) and region.any()
    }
    own = regions.get(edge.head, np.zeros(maps.image_size, dtype=bool))
    columns = np.stack([own, *others.values()])
    found |= _areas(columns)
    if not others:
        reasons.append("no other noun has a region")
    if not found["background_area"]:
        reasons.append("the regions leave no background")
    if modifier is not None and not modifier.any():
        reasons.append("dependent's map has no mass")
    elif modifier is not None:
        found |= _shares(modifier, columns)
        if others:
            place = int(region_shares(modifier[None], columns)[0, 1:].argmax())
            index = list(others)[place]
            found |= {
                "other_index": index,
                "other": maps.sentence[index].text,
                "other_area": float(columns[1 + place].mean()),
            }
    return found | {"reason": "; ".join(reasons)}


def _areas(regions: np.ndarray) -> dict[str, Any]:
    """Return the columns about the areas of regions, the own one first. *Shape:* ``(region, y, x)``."""
    areas = regions.mean(axis=(-2, -1))
    return {
        "n_others": len(areas) - 1,
        "mean_other_area": float(areas[1:].mean()) if len(areas) > 1 else np.nan,
        "background_area": float((~regions.any(axis=0)).mean()),
    }


def _shares(modifier: np.ndarray, regions: np.ndarray) -> dict[str, float]:
    """Return the measures of a modifier's attention. *Shapes:* ``(y, x)`` and, own first, ``(region, y, x)``."""
    shares, excess = (
        shares_of(modifier[None], regions) for shares_of in (region_shares, excess_shares)
    )
    return {
        "own_share": float(own_share(shares, [0])[0]),
        "other_share": float(other_share(shares, [0])[0]),
        "binding_margin": float(binding_margin(excess, [0])[0]),
    }
