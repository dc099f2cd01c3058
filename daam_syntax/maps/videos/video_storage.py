"""Store the heat maps of a video in one ``.npz`` file of arrays with a JSON header.

The file is that of the heat maps of an image (see `storage`), but its arrays have the latent frame as their first axis,
and its header names the frames of the video that each becomes, as ``[first, last + 1]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from daam_syntax.maps.storage import (
    VIDEO_FORMAT,
    header_of,
    maps_in,
    opened_archive,
    parts_in,
    write_arrays,
)


def write_video(path: Path, frames: Sequence[dict[str, Any]], drawn: Sequence[range]) -> None:
    """Write the parts of the heat maps of each latent frame; an error leaves no partial file.

    Parameters
    ----------
    path
        The file.
    frames
        The parts of each frame, by the parameters of `HeatMaps`. All but the values are the same.
    drawn
        The frames of the video that each becomes.
    """
    header = header_of(**frames[0]) | {
        "format": VIDEO_FORMAT,
        "drawn": [[numbers.start, numbers.stop] for numbers in drawn],
    }
    by_frame = [[part.values.values for part in parts["data"].parts] for parts in frames]
    arrays = {f"maps_{i}": np.stack(values) for i, values in enumerate(zip(*by_frame, strict=True))}
    write_arrays(path, arrays, header)


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[list[dict[str, Any]], list[range]]]:
    """Yield the parts of the heat maps of each latent frame in a file, and the drawn frames that each becomes.

    Raises
    ------
    FileError
        If the file cannot be read, or if the code inside the block fails on its contents.
    """
    with opened_archive(path, [VIDEO_FORMAT]) as (archive, header):
        drawn = [range(start, stop) for start, stop in header["drawn"]]
        arrays = {name: archive[name] for name in archive if name.startswith("maps_")}
        yield (
            [
                parts_in(header)
                | {"data": maps_in({name: each[k] for name, each in arrays.items()}, header)}
                for k in range(len(drawn))
            ],
            drawn,
        )
