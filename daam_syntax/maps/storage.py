"""Store heat maps in one ``.npz`` file of arrays with a JSON header.

Version 2 holds arrays ``maps_0``, ``maps_1``, and so on. Each has the maps of one layer, or of all layers of the finest
grid together, on its own grid, with dims ``(token, [step], [head], y, x)``. The header names the layers, steps, and
heads, and holds the other parts of `HeatMaps`. Version 1 holds one array ``maps`` with dims ``(token, y, x)``.

The format is a zip archive because its checksums reveal damage.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.kept_maps import KeptMaps, LayerMaps, frozen
from daam_syntax.maps.subwords import Subword
from daam_syntax.util.whole_files import whole_file

_FORMATS: Final = ("daam-syntax heat maps 1", "daam-syntax heat maps 2")
VIDEO_FORMAT: Final = "daam-syntax video maps 1"
WORD_ATTENTION_FORMAT: Final = "daam-syntax word attention 1"
OUTPUT_FORMAT: Final = "daam-syntax output maps 1"

_READERS: Final = {
    **dict.fromkeys(_FORMATS, "HeatMaps.load"),
    VIDEO_FORMAT: "VideoMaps.load",
    WORD_ATTENTION_FORMAT: "WordAttention.load",
    OUTPUT_FORMAT: "OutputMaps.load",
}


def write_maps(
    path: Path,
    data: KeptMaps,
    subwords: Iterable[Subword],
    sentence: Sentence,
    image_size: tuple[int, int],
    truncated_at: int | Mapping[str, int | None] | None,
    provenance: Mapping[str, Any],
) -> None:
    """Write the parts of heat maps (see `HeatMaps`); an error leaves no partial file."""
    header = header_of(data, subwords, sentence, image_size, truncated_at, provenance)
    arrays = {f"maps_{i}": part.values.values for i, part in enumerate(data.parts)}
    write_arrays(path, arrays, header)


def header_of(
    data: KeptMaps,
    subwords: Iterable[Subword],
    sentence: Sentence,
    image_size: tuple[int, int],
    truncated_at: int | Mapping[str, int | None] | None,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the header of a file, with everything but the values of the maps."""
    first = data.parts[0].values
    return {
        "format": _FORMATS[-1],
        "maps": {
            "layers": [part.layers for part in data.parts],
            "keeps_layers": "layer" in data.axes,
            "dims": first.dims,
            "coordinates": {name: c.values.tolist() for name, c in first.coords.items()},
        },
        "subwords": [_as_dict(subword) for subword in subwords],
        "sentence": sentence.to_dict(),
        "image_size": image_size,
        "truncated_at": truncated_at,
        "provenance": dict(provenance),
    }


def write_arrays(path: Path, arrays: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write arrays and a header to one file; an error leaves no partial file."""
    text = json.dumps(header, ensure_ascii=False)
    with whole_file(path) as partial, partial.open("xb") as file:
        np.savez_compressed(file, **arrays, header=np.array(text))


@contextmanager
def opened_maps(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the parts of the heat maps in a file, by the parameters of `HeatMaps`.

    Raises
    ------
    FileError
        If the file cannot be read, or if the code inside the block fails on its contents.
    """
    with opened_archive(path, _FORMATS) as (arrays, header):
        maps = _version_1(arrays) if header["format"] == _FORMATS[0] else maps_in(arrays, header)
        yield parts_in(header) | {"data": maps}


@contextmanager
def opened_archive(
    path: Path, formats: Sequence[str], what: str = "heat maps"
) -> Iterator[tuple[Mapping[str, np.ndarray], dict[str, Any]]]:
    """Yield the arrays and the header of a file in one of some formats; see `opened_maps`.

    Parameters
    ----------
    path
        The file.
    formats
        The formats.
    what
        What it holds, for messages.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive.zip.testzip() is not None:
                raise ValueError("a checksum differs")
            header = json.loads(str(archive["header"]))
            found = header.get("format")
            if found not in formats and found in _READERS:
                raise FileError(
                    f"Expected {formats[-1]} in {path}, but it holds {found}: read it with {_READERS[found]}."
                )
            if found not in formats:
                raise ValueError(f"its format is {found!r}, not {formats[-1]!r}")
            yield archive, header
    except FileNotFoundError:
        raise FileError(f"Expected saved {what} at {path}, but there is no such file.") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"Expected saved {what} at {path}, but it cannot be read: {error.strerror or error}."
        ) from error
    except Exception as error:
        # A damaged zip raises errors of many types that have only Exception in common.
        reason = str(error).rstrip(".") or type(error).__name__
        if "pickle" in reason:  # NumPy takes any other file for a pickle and suggests loading it
            reason = "it is not an archive of arrays"
        raise FileError(
            f"Expected saved {what} in {path}, but the file is damaged or not a file of {what}: {reason}. "
            "Make it again."
        ) from error


def parts_in(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of heat maps in a header, without the values."""
    return {
        "subwords": [Subword(**subword) for subword in header["subwords"]],
        "sentence": Sentence.from_dict(header["sentence"]),
        "image_size": tuple(header["image_size"]),
        "truncated_at": header["truncated_at"],
        "provenance": header["provenance"],
    }


def _as_dict(subword: Subword) -> dict[str, Any]:
    """Return a subword's fields for a file, with the encoder only if there are several."""
    fields = vars(subword)
    return fields if subword.encoder else {k: v for k, v in fields.items() if k != "encoder"}


def _version_1(archive: Mapping[str, np.ndarray]) -> KeptMaps:
    return KeptMaps.from_array(xr.DataArray(archive["maps"], dims=("token", "y", "x")))


def maps_in(
    archive: Mapping[str, np.ndarray], header: Mapping[str, Any], *, is_signed: bool = False
) -> KeptMaps:
    """Return the maps in arrays that a header describes; values may be negative if they are signed."""
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
    return KeptMaps(parts, keeps_layers=described["keeps_layers"], is_signed=is_signed)
