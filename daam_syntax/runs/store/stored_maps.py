"""Stored heat maps: subword maps in 16 bits, on a grid of a chosen size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.maps.resizing import averaged
from daam_syntax.runs.store.schemas import MAPS_SCHEMA, map_lists, with_identity


def reduce_maps(maps: HeatMaps, map_size: int | None) -> HeatMaps:
    """Return maps exactly as they are stored, so that measuring the stored maps later gives the same results.

    Parameters
    ----------
    maps
        The recording.
    map_size
        Longest side of the stored grid; a finer recording is averaged over areas. None keeps the grid of the recording.

    Returns
    -------
    HeatMaps
        Maps without axes, with values that 16-bit floats represent exactly (rounding changes a value by less than
        0.0005 of itself, or by less than 3e-8), and with ``map_dtype`` and ``map_grid`` in the provenance.
    """
    values = maps.mean
    grid = stored_grid(maps.grid, map_size)
    if grid != maps.grid:
        values = np.stack([averaged(each, grid) for each in values])
    values = values.astype(np.float16).astype(np.float32)
    return maps.with_values(values, map_dtype="float16", map_grid=list(grid))


def stored_grid(grid: tuple[int, int], map_size: int | None) -> tuple[int, int]:
    """Return the rows and columns of stored maps, with the aspect ratio of the recording's grid."""
    if map_size is None or max(grid) <= map_size:
        return grid
    scale = map_size / max(grid)
    return max(1, round(grid[0] * scale)), max(1, round(grid[1] * scale))


def to_table(maps: HeatMaps, image: int) -> pa.Table:
    """Convert the maps of one image to a table with one row per subword."""
    subwords = maps.subwords
    height, width = maps.grid
    n = len(subwords)
    columns = {
        "image": [image] * n,
        "prompt_id": [maps.provenance["prompt_id"]] * n,
        "seed": [maps.provenance["seed"]] * n,
        "position": [s.position for s in subwords],
        "subword": [s.text for s in subwords],
        "start": [s.start for s in subwords],
        "end": [s.end for s in subwords],
        "kind": [s.kind for s in subwords],
        "encoder": [s.encoder or None for s in subwords],
        "map_height": [height] * n,
        "map_width": [width] * n,
        "values": map_lists(maps.mean.astype(np.float16)),
    }
    return pa.Table.from_pydict(columns, schema=with_identity(MAPS_SCHEMA, "maps"))


def truncation_columns(maps: HeatMaps) -> dict[str, Any]:
    """Return the columns of the table of images that say where the text encoders stopped reading."""
    limits = json.dumps(dict(maps.truncated_by)) if maps.encoders else None
    return {"truncated_at": maps.truncated_at, "truncated_by": limits}


def from_table(rows: pa.Table, image: Mapping[str, Any], sentence: Sentence) -> HeatMaps:
    """Return the maps of one image.

    Parameters
    ----------
    rows
        The rows of this image in the table of maps, in order.
    image
        The row of this image in the table of images.
    sentence
        The parsed prompt.

    Raises
    ------
    FileError
        If the rows do not fit together.
    """
    try:
        described = rows.drop_columns("values").to_pylist()
        grid = (described[0]["map_height"], described[0]["map_width"])
        limits = image.get("truncated_by")
        values = rows["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return HeatMaps(
            xr.DataArray(values.reshape(len(described), *grid), dims=("token", "y", "x")),
            [
                Subword(
                    r["position"],
                    r["subword"],
                    r["start"],
                    r["end"],
                    r["kind"],
                    r.get("encoder") or "",
                )
                for r in described
            ],
            sentence,
            (image["height"], image["width"]),
            truncated_at=json.loads(limits) if limits else image["truncated_at"],
            provenance=json.loads(image["provenance"]),
        )
    except (ValueError, IndexError, TypeError) as error:
        raise FileError(
            f"Expected the maps of image {image['image']}, but its rows do not fit together: {error}"
        ) from error
