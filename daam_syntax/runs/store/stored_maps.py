"""Stored heat maps: subword maps in 16 bits, on a grid of a chosen size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args

import numpy as np
import pyarrow as pa
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.maps.resizing import averaged
from daam_syntax.maps.subwords import Kind
from daam_syntax.runs.store.contents.ranges import LARGEST_VALUE
from daam_syntax.runs.store.tables.schemas import map_lists, schema_of, with_identity
from daam_syntax.util.wording import one_line

DAMAGE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    ArithmeticError,
)
"""What values of wrong types or sizes raise when they are put together."""


def reduce_maps(maps: HeatMaps, map_size: int | None, dtype: str = "float16") -> HeatMaps:
    """Return maps exactly as they are stored, so that measuring the stored maps later gives the same results.

    Parameters
    ----------
    maps
        The recording.
    map_size
        Longest side of the stored grid; a finer recording is averaged over areas. None keeps the grid of the recording.
    dtype
        Number format in which they are stored, "float16" or "float32".

    Returns
    -------
    HeatMaps
        Maps without axes, with values that the number format represents exactly (rounding to 16 bits changes a value by
        less than 0.0005 of itself, or by less than 3e-8), and with ``map_dtype`` and ``map_grid`` in the provenance.
    """
    values = maps.mean
    grid = stored_grid(maps.grid, map_size)
    if grid != maps.grid:
        values = np.stack([averaged(each, grid) for each in values])
    values = values.astype(dtype).astype(np.float32)
    return maps.with_values(values, map_dtype=dtype, map_grid=list(grid))


def stored_grid(grid: tuple[int, int], map_size: int | None) -> tuple[int, int]:
    """Return the rows and columns of stored maps, with the aspect ratio of the recording's grid."""
    if map_size is None or max(grid) <= map_size:
        return grid
    scale = map_size / max(grid)
    return max(1, round(grid[0] * scale)), max(1, round(grid[1] * scale))


def to_table(maps: HeatMaps, image: int) -> pa.Table:
    """Convert the maps of one image to a table with one row per subword."""
    subwords, dtype = maps.subwords, str(maps.provenance["map_dtype"])
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
        "values": map_lists(maps.mean.astype(dtype)),
    }
    return pa.Table.from_pydict(columns, schema=with_identity(schema_of("maps", dtype), "maps"))


def truncation_columns(maps: HeatMaps) -> dict[str, Any]:
    """Return the columns of the table of images that say where the text encoders stopped reading."""
    limits = json.dumps(dict(maps.truncated_by)) if maps.encoders else None
    return {"truncated_at": maps.truncated_at, "truncated_by": limits}


def parse_of(image: Mapping[str, Any]) -> Sentence:
    """Return the parse that a row of the table of images contains.

    Raises
    ------
    FileError
        If it is not a parse of the row's prompt.
    """
    try:
        sentence = Sentence.from_dict(json.loads(image["sentence"]))
        if sentence.text != image["prompt"]:
            raise ValueError(f"it is that of {sentence.text[:60]!r}")
        return sentence
    except DAMAGE as error:
        raise FileError(
            f"Expected the parse of {str(image['prompt'])[:60]!r} with image {image['image']}, but "
            f"{one_line(error)}."
        ) from error


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
        If the rows do not fit together, or belong to another image.
    """
    try:
        check_origin(rows, image, "the maps have")
        provenance = checked_provenance(image["provenance"], image)
        described = rows.drop_columns("values").to_pylist()
        check_offsets(described, sentence.text)
        _check_subwords(described, image)
        grid = _grid_of(described, provenance)
        limits = image["truncated_by"]
        values = rows["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if values.size and values.max() > LARGEST_VALUE:
            raise ValueError(f"the value {values.max():g} is not a probability")
        return HeatMaps(
            xr.DataArray(values.reshape(len(described), *grid), dims=("token", "y", "x")),
            [
                Subword(
                    r["position"],
                    r["subword"],
                    r["start"],
                    r["end"],
                    r["kind"],
                    r["encoder"] or "",
                )
                for r in described
            ],
            sentence,
            (image["height"], image["width"]),
            truncated_at=json.loads(limits) if limits else image["truncated_at"],
            provenance=provenance,
        )
    except DAMAGE as error:
        raise FileError(
            f"Expected the maps of image {image['image']}, but its rows do not fit together: {one_line(error)}"
        ) from error


def _grid_of(
    subwords: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]
) -> tuple[int, int]:
    """Return the rows and columns of the maps of an image, which all of its subwords have."""
    grids = {(subword["map_height"], subword["map_width"]) for subword in subwords}
    if len(grids) != 1:
        raise ValueError(f"the maps have the grids {sorted(grids)[:3]}")
    ((height, width),) = grids
    if min(height, width) < 1 or provenance.get("map_grid", [height, width]) != [height, width]:
        raise ValueError(
            f"the maps have the grid {(height, width)}, the provenance {provenance.get('map_grid')}"
        )
    return height, width


def check_offsets(subwords: Iterable[Mapping[str, Any]], prompt: str) -> None:
    """Check that the subwords of a prompt lie inside it."""
    for subword in subwords:
        if not 0 <= subword["start"] <= subword["end"] <= len(prompt):
            raise ValueError(f"the subword {str(subword)[:80]} lies outside the prompt")


def _check_subwords(subwords: Iterable[Mapping[str, Any]], image: Mapping[str, Any]) -> None:
    """Check that the kinds, positions, and text encoders of subwords are possible."""
    encoders = set(json.loads(image["truncated_by"] or '{"": null}'))
    for subword in subwords:
        is_right = subword["kind"] in get_args(Kind) and subword["position"] >= 0
        has_encoder = (subword["encoder"] or "") in encoders
        if not (is_right and has_encoder) or subword["subword"] is None:
            raise ValueError(f"a subword is {str(dict(subword))[:160]}")


def check_origin(rows: pa.Table, image: Mapping[str, Any], subject: str) -> None:
    """Check that rows are those of the prompt and the seed of their image."""
    for name in ("prompt_id", "seed"):
        found = set(rows[name].unique().to_pylist())
        if found != {image[name]}:
            raise ValueError(
                f"{subject} the {name} {sorted(map(str, found))[:3]}, the image {image[name]!r}"
            )


def checked_provenance(written: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of what belongs to an image, from its JSON."""
    provenance = json.loads(written)
    limits = json.loads(image["truncated_by"] or "{}")
    if not (isinstance(provenance, dict) and isinstance(limits, dict)):
        raise ValueError("its provenance and limits are not JSON objects")
    if not all(limit is None or 0 <= limit <= len(image["prompt"]) for limit in limits.values()):
        raise ValueError(f"the text encoders stopped at {str(limits)[:80]}")
    for name in ("prompt_id", "seed", "generator_seed", "height", "width"):
        if name in provenance and provenance[name] != image[name]:
            raise ValueError(
                f"the provenance has the {name} {provenance[name]!r}, the image {image[name]!r}"
            )
    return provenance
