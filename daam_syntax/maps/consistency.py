"""Check that the parts of heat maps fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from daam_syntax.maps.kept_maps import DIMS, KeptMaps
from daam_syntax.maps.subwords import Subword


def find_problems(
    data: xr.DataArray | KeptMaps,
    subwords: Sequence[Subword],
    truncated_by: Mapping[str, int | None],
    image_size: Sequence[int],
    *,
    is_signed: bool = False,
) -> list[str]:
    """Return every problem with the parts of heat maps, as clauses of one message; none if they fit together.

    Values may be negative only in maps that are signed (`OutputMaps`).
    """
    problems = []
    if unknown := {s.encoder for s in subwords} - set(truncated_by):
        problems.append(f"truncated_at lacks the encoders {sorted(unknown)}")
    arrays = [part.values for part in data.parts] if isinstance(data, KeptMaps) else [data]
    for dims in {array.dims for array in arrays}:
        if not {"token", "y", "x"} <= set(dims) <= set(DIMS) or dims != _in_order(dims):
            problems.append(f"dims must be ('token', 'y', 'x'), or among {DIMS}, but are {dims}")
    rows = {array.sizes.get("token", len(subwords)) for array in arrays} - {len(subwords)}
    problems += [f"there are {n} maps for {len(subwords)} subwords" for n in rows]
    if not is_signed and any(
        (a.values < 0).any() or not np.isfinite(a.values).all() for a in arrays
    ):
        problems.append("values must be finite and not negative")
    elif any(not np.isfinite(a.values).all() for a in arrays):
        problems.append("values must be finite")
    if isinstance(data, KeptMaps) and data.is_signed and not is_signed:
        problems.append("values are those of output maps, not attention")
    if len(image_size) != 2 or min(image_size) < 1:
        problems.append(f"image_size must be (height, width), but is {image_size}")
    return problems


def _in_order(dims: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dim for dim in DIMS if dim in dims)
