"""Store heat maps in one ``.npz`` file of arrays with a JSON header.

Version 2 holds arrays ``maps_0``, ``maps_1``, and so on. Each has the maps of one layer, or of all layers of the finest
grid together, on its own grid, with dims ``(token, [step], [head], y, x)``. The header names the layers, steps, and
heads, and holds the other parts of `HeatMaps`. Version 1 holds one array ``maps`` with dims ``(token, y, x)``.

The format is a zip archive because its checksums reveal damage.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.kept_maps import KeptMaps, LayerMaps, frozen
from daam_syntax.maps.subwords import Kind, Subword
from daam_syntax.util.json_fields import read_fields
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import human_size, one_line

_FORMATS: Final = ("daam-syntax heat maps 1", "daam-syntax heat maps 2")
VIDEO_FORMAT: Final = "daam-syntax video maps 1"
WORD_ATTENTION_FORMAT: Final = "daam-syntax word attention 1"
OUTPUT_FORMAT: Final = "daam-syntax output maps 1"

MOST_PIXELS: Final = 2**26
"""More than the image of any model has."""

_MOST_UNPACKED: Final = 10**8  # bytes, whatever the size of the file
_MOST_TIMES: Final = 100  # the size of the file; floats are rarely packed to a fifth

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
            _check_size(archive.zip, path.stat().st_size)
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
        reason = one_line(error).rstrip(".")
        if "pickle" in reason:  # NumPy takes any other file for a pickle and suggests loading it
            reason = "it is not an archive of arrays"
        raise FileError(
            f"Expected saved {what} in {path}, but the file is damaged or not a file of {what}: {reason}. "
            "Make it again."
        ) from error


def _check_size(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Raise if a small file stands for arrays that would fill the memory."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(_MOST_UNPACKED, _MOST_TIMES * n_bytes):
        raise ValueError(f"its {human_size(n_bytes)} stand for {human_size(unpacked)}")


def parts_in(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of heat maps in a header, without the values."""
    return {
        "subwords": [_subword(values) for values in header["subwords"]],
        "sentence": Sentence.from_dict(header["sentence"]),
        "image_size": _image_size(header["image_size"]),
        "truncated_at": _limits(header["truncated_at"]),
        "provenance": header["provenance"],
    }


def _subword(values: Mapping[str, Any]) -> Subword:
    subword = read_fields(Subword, values)
    if subword.kind not in get_args(Kind) or not 0 <= subword.start <= subword.end:
        raise ValueError(f"it has {subword}")
    return subword


def _image_size(sides: Sequence[int]) -> tuple[int, int]:
    height, width = sides
    if not all(type(side) is int and side > 0 for side in sides) or height * width > MOST_PIXELS:
        raise ValueError(f"its image_size is {str(sides)[:60]}")
    return height, width


def _limits(limits: Any) -> Any:
    """Return the offsets at which text encoders stopped reading, or the only one, as a file has them."""
    each = list(limits.values()) if isinstance(limits, Mapping) else [limits]
    if not all(limit is None or type(limit) is int for limit in each):
        raise ValueError(f"its truncated_at is {str(limits)[:60]}")
    return limits


def _as_dict(subword: Subword) -> dict[str, Any]:
    """Return a subword's fields for a file, with the encoder only if there are several."""
    fields = vars(subword)
    return fields if subword.encoder else {k: v for k, v in fields.items() if k != "encoder"}


def _version_1(archive: Mapping[str, np.ndarray]) -> KeptMaps:
    return KeptMaps.from_array(xr.DataArray(_values(archive["maps"]), dims=("token", "y", "x")))


def _values(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f" or 0 in array.shape[-2:]:
        raise ValueError(f"it has maps of the type {array.dtype} and the shape {array.shape}")
    return array


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
            frozen(
                xr.DataArray(
                    _values(archive[f"maps_{i}"]), dims=described["dims"], coords=coordinates
                )
            ),
        )
        for i, layers in enumerate(described["layers"])
    ]
    return KeptMaps(parts, keeps_layers=described["keeps_layers"], is_signed=is_signed)
