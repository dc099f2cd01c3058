"""Columns that identify the image of a row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from daam_syntax.language import prompt_id
from daam_syntax.maps import HeatMaps


def image_columns(maps: HeatMaps, number: int) -> dict[str, Any]:
    """Return ``prompt_id``, ``prompt``, ``image``, and ``seed`` of an image."""
    seed = maps.provenance.get("seed")
    return {
        "prompt_id": maps.provenance.get("prompt_id", prompt_id(maps.prompt)),
        "prompt": maps.prompt,
        "image": number,
        "seed": pd.NA if seed is None else seed,
    }
