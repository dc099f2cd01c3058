"""Checks of the arguments that figures take: maps, sentences, images and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pandas as pd

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMap, HeatMaps, VideoMaps, WordAttention, each_image
from daam_syntax.maps.heatmaps import description_of

PAIR_TABLE: Final = "a pair table (see `measure_pairs`)"
"""What `require` and `require_one` call a table of pairs in their messages."""

_EXAMPLES: Final = {
    HeatMap: "the map of a word, such as `maps['cat']`",
    HeatMaps: "the heat maps of one image, such as `trace.heat_maps()[0]`",
    VideoMaps: "the heat maps of a video, such as `trace.video_maps()[0]` (`overview` and `word_grid` draw images)",
    WordAttention: "attention between words, such as `trace_text(pipe, 'a red cat')[0]`",
    Sentence: "a sentence, such as `maps.sentence` or `parse('a red cat')`",
}


def expect(value: object, kind: type) -> None:
    """Check that an argument has the type that a figure draws.

    Raises
    ------
    TypeError
        If it has another type; the message says where to get the right one.
    """
    if not isinstance(value, kind):
        raise TypeError(
            f"Expected {kind.__name__}, {_EXAMPLES[kind]}, but got {description_of(value)}."
        )


def paired(
    images: Any | Iterable[Any], maps: HeatMaps | Iterable[HeatMaps]
) -> tuple[list[Any], list[HeatMaps]]:
    """Return images and their heat maps as two lists of the same length.

    Parameters
    ----------
    images
        One image, or several.
    maps
        The heat maps of that image, or of each image in the same order.

    Raises
    ------
    TypeError
        If `maps` contains anything other than heat maps.
    ValueError
        If the numbers of images and maps differ, or both are 0.
    """
    all_maps = list(each_image(maps))
    is_one = isinstance(maps, HeatMaps) and not isinstance(images, list | tuple)
    all_images = [images] if is_one else list(images)
    if len(all_images) != len(all_maps) or not all_maps:
        raise ValueError(
            "Expected the same number of images and heat maps, at least one of each, but got "
            f"{len(all_images)} and {len(all_maps)}."
        )
    return all_images, all_maps


def require(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that a table has rows and the columns that a figure reads.

    Parameters
    ----------
    table
        The table.
    columns
        Names of the required columns.
    what
        What the table is, for the message.

    Raises
    ------
    ValueError
        If the table is empty or lacks columns; the message lists all missing columns.
    """
    missing = [c for c in dict.fromkeys(columns) if c not in table.columns]
    if missing:
        raise ValueError(
            f"Expected {what} with the columns {', '.join(missing)}, but it has only "
            f"{', '.join(map(str, table.columns)) or 'none'}."
        )
    if table.empty:
        raise ValueError(f"Expected {what} with at least one row, but it has none.")


def require_one(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that each of some columns holds a single value, because one figure must not mix several.

    Columns that the table lacks are not checked.

    Raises
    ------
    ValueError
        If a column holds several values; the message says how to choose one.
    """
    for column in columns:
        found = list(table[column].unique()) if column in table.columns else []
        if len(found) > 1:
            raise ValueError(
                f"Expected {what} of one {column}, but got {', '.join(map(str, found))}; choose one, such as "
                f"table[table[{column!r}] == {found[0]!r}]."
            )


def check_scale(scale: str, vmax: float | None) -> None:
    """Check the color scale of the maps of several words.

    Raises
    ------
    ValueError
        If there is no such scale, or `vmax` is given although each map has its own.
    """
    if scale not in ("shared", "own") or (scale == "own" and vmax is not None):
        raise ValueError(
            f'Expected scale="shared", or scale="own" without a vmax, but got {scale!r} with vmax={vmax!r}.'
        )
