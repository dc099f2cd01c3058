"""Selections of layers, steps, and attention heads."""

import pytest

from daam_syntax.maps.selection import head_selector, layer_selector, step_selector


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


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (None, range(30)),
        (4, [4]),
        ([3, 29, 31], [3, 29]),
        (slice(0, 1), [0]),
        (slice(20, None, 4), [20, 24, 28]),
        (slice(0, 1 / 3), range(10)),
        (slice(1 / 3, 2 / 3), range(10, 20)),
        (slice(2 / 3, 1), range(20, 30)),
        (slice(0.98, None), []),
        pytest.param(lambda step, timestep: timestep <= 50, range(25, 30), id="function"),
    ],
    ids=str,
)
def test_selecting_steps(steps, expected):
    selects = step_selector(steps)
    assert [n for n in range(30) if selects(n, n / 30, 300 - 10 * n)] == list(expected)


@pytest.mark.parametrize(
    "steps", [-1, [0, -2], 0.5, "late", slice(-3, None), slice(0.5, 2), slice(0.5, 0.2)]
)
def test_invalid_selections_of_steps(steps):
    with pytest.raises(ValueError, match=r"slice\(0, 1/3\)"):
        step_selector(steps)


def test_selecting_heads():
    assert [head for head in range(8) if head_selector(slice(2, 6, 2))(head)] == [2, 4]
    with pytest.raises(ValueError, match="heads as numbers"):
        head_selector("first")
