"""Store maps by similarity of attention outputs in one ``.npz`` file.

The file is that of heat maps (see `storage`), with a format of its own, so that neither kind is read as the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daam_syntax.maps.kept_maps import KeptMaps
from daam_syntax.maps.storage import (
    OUTPUT_FORMAT,
    header_of,
    maps_in,
    opened_archive,
    parts_in,
    write_arrays,
)


def write_outputs(path: Path, parts: Mapping[str, Any]) -> None:
    """Write the parts of `OutputMaps`; an error leaves no partial file."""
    data: KeptMaps = parts["data"]
    arrays = {f"maps_{i}": part.values.values for i, part in enumerate(data.parts)}
    write_arrays(path, arrays, header_of(**parts) | {"format": OUTPUT_FORMAT})


@contextmanager
def opened_outputs(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the parts of the maps in a file, by the parameters of `OutputMaps`.

    Raises
    ------
    FileError
        If the file cannot be read, or if the code inside the block fails on its contents.
    """
    with opened_archive(path, [OUTPUT_FORMAT], what="output maps") as (arrays, header):
        yield parts_in(header) | {"data": maps_in(arrays, header, is_signed=True)}
