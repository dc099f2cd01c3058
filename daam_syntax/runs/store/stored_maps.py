"""What is kept of a recording: its subword maps in 16 bits, on a grid of a chosen size."""

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
from daam_syntax.maps.resize import averaged
from daam_syntax.runs.store.schemas import MAPS_SCHEMA, map_lists, with_identity


def reduced(maps: HeatMaps, map_size: int | None) -> HeatMaps:
    """Return the maps as they are stored, so that what is measured now can be measured again later.

    Parameters
    ----------
    maps
        The recording.
    map_size
        Longest side of the stored grid; a finer recording is averaged over areas. None keeps the recording's grid.

    Returns
    -------
    HeatMaps
        Values that 16-bit floats hold exactly (relative error of the rounding below 0.0005, absolute error
        below 3e-8), ``map_dtype`` and ``map_grid`` in the provenance.
    """
    values = maps.mean
    grid = stored_grid(maps.grid, map_size)
    if grid != maps.grid:
        values = np.stack([averaged(each, grid) for each in values])
    values = values.astype(np.float16).astype(np.float32)
    return HeatMaps(
        xr.DataArray(values, dims=("token", "y", "x")),
        maps.subwords,
        maps.sentence,
        maps.image_size,
        truncated_at=maps.truncated_at,
        provenance={**maps.provenance, "map_dtype": "float16", "map_grid": list(grid)},
    )


def stored_grid(grid: tuple[int, int], map_size: int | None) -> tuple[int, int]:
    """Return rows and columns of the stored maps, in the proportions of the recording's grid."""
    if map_size is None or max(grid) <= map_size:
        return grid
    scale = map_size / max(grid)
    return max(1, round(grid[0] * scale)), max(1, round(grid[1] * scale))


def to_table(maps: HeatMaps, image: int) -> pa.Table:
    """Tabulate the maps of one image, one row per subword."""
    subwords = maps.subwords
    height, width = maps.grid
    n = len(subwords)
    columns = [
        pa.array([image] * n, pa.int64()),
        pa.array([maps.provenance["prompt_id"]] * n, pa.string()),
        pa.array([maps.provenance["seed"]] * n, pa.int64()),
        pa.array([s.position for s in subwords], pa.int64()),
        pa.array([s.text for s in subwords], pa.string()),
        pa.array([s.start for s in subwords], pa.int64()),
        pa.array([s.end for s in subwords], pa.int64()),
        pa.array([s.kind for s in subwords], pa.string()),
        pa.array([height] * n, pa.int64()),
        pa.array([width] * n, pa.int64()),
        map_lists(maps.data.values.astype(np.float16)),
    ]
    return pa.Table.from_arrays(columns, schema=with_identity(MAPS_SCHEMA, "maps"))


def from_table(rows: pa.Table, image: Mapping[str, Any], sentence: Sentence) -> HeatMaps:
    """Return the maps of one image.

    Parameters
    ----------
    rows
        Its rows of the table of maps, in order.
    image
        Its row of the table of images.
    sentence
        The parsed prompt.

    Raises
    ------
    FileError
        If the parts do not fit together.
    """
    try:
        described = rows.drop_columns("values").to_pylist()
        grid = (described[0]["map_height"], described[0]["map_width"])
        values = rows["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return HeatMaps(
            xr.DataArray(values.reshape(len(described), *grid), dims=("token", "y", "x")),
            [
                Subword(r["position"], r["subword"], r["start"], r["end"], r["kind"])
                for r in described
            ],
            sentence,
            (image["height"], image["width"]),
            truncated_at=image["truncated_at"],
            provenance=json.loads(image["provenance"]),
        )
    except (ValueError, IndexError, TypeError) as error:
        raise FileError(
            f"Expected the maps of image {image['image']}, but its rows do not fit together: {error}"
        ) from error
