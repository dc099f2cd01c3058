"""What figures ask of their arguments that are no tables."""

from __future__ import annotations

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMap, HeatMaps

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
