"""Selection of layers by path and grid."""

import pytest

from daam_syntax.maps.selection import layer_selector


@pytest.mark.parametrize(
    ("layers", "fits"),
    [
        (None, [True, True, True]),
        ("4x6", [False, True, True]),
        (["mid"], [False, True, False]),
        ("down", [True, False, False]),
        ([4], [False, True, True]),
        (["down", 4], [True, True, True]),
        ([], [False, False, False]),
        (lambda path, grid: grid == (4, 6) and "up" in path, [False, False, True]),
    ],
)
def test_selecting_layers(layers, fits):
    selects = layer_selector(layers)
    there = [("down.0", (8, 12)), ("mid", (4, 6)), ("up.1", (4, 6))]
    assert [bool(selects(path, grid)) for path, grid in there] == fits
