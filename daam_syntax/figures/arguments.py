"""What figures ask of their arguments that are no tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMap, HeatMaps, each_image

_FOUND = {
    HeatMap: "the map of a word, such as `maps['cat']`",
    HeatMaps: "the heat maps of one image, such as `trace.heat_maps()[0]`",
    Sentence: "a sentence, such as `maps.sentence` or `parse('a red cat')`",
}


def expect(value: object, kind: type) -> None:
    """Check that an argument is what a figure draws.

    Raises
    ------
    TypeError
        If it is something else; the message says where to find it.
    """
    if not isinstance(value, kind):
        raise TypeError(
            f"Expected {kind.__name__}, {_FOUND[kind]}, but got {type(value).__name__}."
        )


def paired(
    images: Any | Iterable[Any], maps: HeatMaps | Iterable[HeatMaps]
) -> tuple[list[Any], list[HeatMaps]]:
    """Return pictures and their heat maps as two lists: one of each, or several in the same order.

    Raises
    ------
    TypeError
        If something else than maps is among them.
    ValueError
        If there are not as many pictures as maps, or none at all.
    """
    all_maps = list(each_image(maps))
    is_one = isinstance(maps, HeatMaps) and not isinstance(images, list | tuple)
    pictures = [images] if is_one else list(images)
    if len(pictures) != len(all_maps) or not all_maps:
        raise ValueError(
            f"Expected as many pictures as heat maps, at least one, but got {len(pictures)} and {len(all_maps)}."
        )
    return pictures, all_maps
