"""Columns that identify the image of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.checks import ATTENTION, MAP_KIND
from daam_syntax.language import prompt_id
from daam_syntax.maps import HeatMaps

_AFTER: Final = "seed"


def image_columns(maps: HeatMaps, number: int) -> dict[str, Any]:
    """Return ``prompt_id``, ``prompt``, ``image``, ``seed``, and the kind of the maps (`MAP_KIND`) of an image."""
    seed = maps.provenance.get("seed")
    return {
        "prompt_id": maps.provenance.get("prompt_id", prompt_id(maps.prompt)),
        "prompt": maps.prompt,
        "image": number,
        "seed": pd.NA if seed is None else seed,
        MAP_KIND: map_kind(maps),
    }


def map_kind(maps: HeatMaps) -> str:
    """Return what the values of maps are, for the column `MAP_KIND`."""
    if maps.provenance.get("relation") == "text-image":
        return "attention from text to image"
    return "refined attention" if "refined" in maps.provenance else maps.kind


def with_map_kind(columns: Sequence[str]) -> list[str]:
    """Return columns with that of the kind of the maps after the seed."""
    place = columns.index(_AFTER) + 1
    return [*columns[:place], MAP_KIND, *columns[place:]]


def without_plain_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the kind of the maps if all are attention from image to text."""
    return table.drop(columns=MAP_KIND) if table[MAP_KIND].eq(ATTENTION).all() else table
