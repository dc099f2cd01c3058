"""Store heat maps in one ``.npz`` file of arrays with a JSON header.

Version 2 holds arrays ``maps_0``, ``maps_1``, and so on. Each has the maps of one layer, or of all layers of the finest
grid together, on its own grid, with dims ``(token, [step], [head], y, x)``. The header names the layers, steps, and
heads. Version 1 holds one array ``maps`` with dims ``(token, y, x)``.

The format is a zip archive because its checksums reveal damage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.maps.kept_maps import KeptMaps, LayerMaps, frozen
from daam_syntax.util.whole_files import whole_file

_FORMATS: Final = ("daam-syntax heat maps 1", "daam-syntax heat maps 2")


def write_maps(path: Path, maps: KeptMaps, header: Mapping[str, Any]) -> None:
    """Write heat maps and their header; an error leaves no partial file."""
    first = maps.parts[0].values
    described = {
        "layers": [part.layers for part in maps.parts],
        "keeps_layers": "layer" in maps.axes,
        "dims": first.dims,
        "coordinates": {name: c.values.tolist() for name, c in first.coords.items()},
    }
    text = json.dumps({"format": _FORMATS[-1], "maps": described, **header}, ensure_ascii=False)
    arrays: dict[str, Any] = {f"maps_{i}": part.values.values for i, part in enumerate(maps.parts)}
    with whole_file(path) as partial, partial.open("xb") as file:
        np.savez_compressed(file, **arrays, header=np.array(text))


@contextmanager
def opened_maps(path: Path) -> Iterator[tuple[KeptMaps, dict[str, Any]]]:
    """Yield the heat maps and the header of a file.

    Raises
    ------
    FileError
        If the file cannot be read, or if the code inside the block fails on its contents.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive.zip.testzip() is not None:
                raise ValueError("a checksum differs")
            header = json.loads(str(archive["header"]))
            if header.get("format") not in _FORMATS:
                raise ValueError(f"its format is {header.get('format')!r}, not {_FORMATS[-1]!r}")
            maps = (
                _version_1(archive) if header["format"] == _FORMATS[0] else _maps(archive, header)
            )
        yield maps, header
    except FileNotFoundError:
        raise FileError(f"Expected saved heat maps at {path}, but there is no such file.") from None
    except OSError as error:
        raise FileError(
            f"Expected saved heat maps at {path}, but it cannot be read: {error.strerror or error}."
        ) from error
    except Exception as error:
        # A damaged zip raises errors of many types that have only Exception in common.
        reason = str(error).rstrip(".") or type(error).__name__
        if "pickle" in reason:  # NumPy takes any other file for a pickle and suggests loading it
            reason = "it is not an archive of arrays"
        raise FileError(
            f"Expected saved heat maps in {path}, but the file is damaged or not a heat-map file: {reason}. "
            "Generate the image again."
        ) from error


def _version_1(archive: Mapping[str, np.ndarray]) -> KeptMaps:
    return KeptMaps.from_array(xr.DataArray(archive["maps"], dims=("token", "y", "x")))


def _maps(archive: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> KeptMaps:
    described = header["maps"]
    along = {"step": "step", "timestep": "step", "progress": "step", "head": "head"}
    coordinates = {name: (along[name], c) for name, c in described["coordinates"].items()}
    parts = [
        LayerMaps(
            tuple(layers),
            frozen(xr.DataArray(archive[f"maps_{i}"], dims=described["dims"], coords=coordinates)),
        )
        for i, layers in enumerate(described["layers"])
    ]
    return KeptMaps(parts, keeps_layers=described["keeps_layers"])
