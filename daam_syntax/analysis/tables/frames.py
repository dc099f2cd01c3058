"""The pair table of videos: overlap in each frame, or in all frames together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.image_batches import Batch, Size, batches, pixel_size
from daam_syntax.analysis.tables.pairs import MEASURES, PairOptions, pair_table
from daam_syntax.maps import HeatMaps, Threshold, VideoMaps, bicubic
from daam_syntax.util.arguments.checks import OWN, checked

FRAME_COLUMNS: Final = {
    "frame": "Number of the latent frame, from 0; missing if all frames were measured together",
    "first_drawn": "First frame of the video that the latent frame becomes, from 0",
    "last_drawn": "Last frame of the video that it becomes",
}
"""Columns that `measure_frames` adds to those of the pair table, and their meanings."""


@checked(videos=OWN)
def measure_frames(
    videos: VideoMaps | Sequence[VideoMaps],
    *,
    together: bool = False,
    schemes: str | Sequence[str] = ("ud",),
    threshold: str | Threshold | Sequence[str | Threshold] = "relative:0.4",
    measures: str | Iterable[str] = MEASURES,
    size: Size = "image",
    unrelated: bool = True,
) -> pd.DataFrame:
    """Measure the attention overlap of every head with its dependent in the latent frames of videos.

    Parameters
    ----------
    videos
        The heat maps of one video, or of several.
    together
        Whether to measure all frames of a video as one map of frames, rows, and columns. A mask is then relative to the
        largest value of any frame, and a frame without a word adds nothing to its mask. Otherwise each frame is
        measured like an image, with masks relative to its own maximum.
    schemes, threshold, measures, size, unrelated
        As for `measure_pairs`; `size` is that of a frame. Upscaling every frame takes time, "grid" does not.

    Returns
    -------
    pandas.DataFrame
        The columns of `PAIR_COLUMNS`, in which ``image`` is the number of the video, and those of `FRAME_COLUMNS`. One
        row per video, frame, scheme, threshold, and pair; with `together`, one for all frames.

    Raises
    ------
    TypeError
        If an item is not `VideoMaps`.
    ValueError
        As `measure_pairs`, or if a measure depends on where pixels lie, which frames measured together do not have.

    Examples
    --------
    >>> measure_frames(recording.video_maps(), size="grid")  # doctest: +SKIP
    """
    wanted = PairOptions(schemes, threshold, measures, unrelated)
    if together:
        _require_no_places(wanted)
        joined = (_joined(number, video, size) for number, video in enumerate(_each(videos)))
        whole = pair_table(joined, wanted)
        return _insert(whole, [pd.array([pd.NA] * len(whole), dtype="Int64")] * 3)
    tables: list[pd.DataFrame] = []
    for number, video in enumerate(_each(videos)):
        table = pair_table(batches(list(video.frames), size), wanted)
        frames = table["image"].astype(int)
        drawn = ([numbers[place] for numbers in video.drawn] for place in (0, -1))
        columns = [frames, *(np.array(each)[frames] for each in drawn)]
        tables.append(_insert(table.assign(image=number), columns))
    if not tables:
        raise ValueError("Expected the heat maps of at least one video, but got none.")
    return pd.concat(tables, ignore_index=True)


def _each(videos: VideoMaps | Sequence[VideoMaps]) -> Iterator[VideoMaps]:
    several = (
        videos if isinstance(videos, Iterable) and not isinstance(videos, HeatMaps) else [videos]
    )
    several = [videos] if isinstance(videos, VideoMaps) else several
    for video in several:
        if not isinstance(video, VideoMaps):
            raise TypeError(
                "Expected VideoMaps, or a list of them, such as `trace.video_maps()` returns, but got "
                f"{type(video).__name__}; measure the maps of images with measure_pairs."
            )
        yield video


def _require_no_places(wanted: PairOptions) -> None:
    placed = [measure.name for measure in wanted.measures if "pixels" not in measure.invariant]
    if placed:
        raise ValueError(
            "Expected measures that do not depend on where pixels lie, for frames measured together, but got "
            f"{placed}: measure each frame (together=False), or leave them out."
        )


def _joined(number: int, video: VideoMaps, size: Size) -> Batch:
    """Return the frames of a video below each other, upscaled one by one, as a batch of one image."""
    height, width = pixel_size(video.frames[0], size)
    words = bicubic(video.stack(), (height, width))
    tall = (height * len(video.frames), width)
    rows = {index: row for row, index in enumerate(video.mapped)}
    return Batch([number], [video.frames[0]], words.reshape(len(words), *tall), tall, [rows])


def _insert(table: pd.DataFrame, columns: Sequence[Any]) -> pd.DataFrame:
    """Insert the columns of frames after that of the image."""
    place = list(table.columns).index("image") + 1
    for offset, (name, values) in enumerate(zip(FRAME_COLUMNS, columns, strict=True)):
        table.insert(place + offset, name, pd.array(values, dtype="Int64"))
    return table
