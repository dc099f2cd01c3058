"""Sums of attention that do not grow."""

import numpy as np
import pytest
import torch

from daam_syntax.attention.accumulate import LayerSums, layer_selector
from daam_syntax.errors import TraceError


def test_mean_over_calls_then_over_layers():
    sums = LayerSums()
    grid = (2, 3)
    sums.add("a", grid, torch.full((1, 6, 2), 0.2))
    sums.add("a", grid, torch.full((1, 6, 2), 0.4))
    ramp = torch.arange(6.0).reshape(1, 6, 1) / 10
    sums.add("b", grid, torch.cat([ramp, 2 * ramp], dim=-1))
    maps = sums.mean_maps()
    assert maps.shape == (1, 2, 2, 3)
    assert maps.dtype == np.float32
    b = np.arange(6).reshape(2, 3) / 10
    np.testing.assert_allclose(maps[0], [(0.3 + b) / 2, (0.3 + 2 * b) / 2], atol=1e-6)


def test_layers_are_resized_to_the_finest_grid():
    sums = LayerSums()
    sums.add("coarse", (1, 2), torch.full((2, 2, 3), 0.25))
    sums.add("fine", (2, 3), torch.full((2, 6, 3), 0.75))
    np.testing.assert_allclose(sums.mean_maps(), np.full((2, 3, 2, 3), 0.5), atol=1e-6)
    assert sums.grids == {"coarse": (1, 2), "fine": (2, 3)}


def test_memory_does_not_grow_and_inputs_stay():
    sums = LayerSums()
    first = torch.ones(1, 6, 2)
    for _ in range(5):
        sums.add("a", (2, 3), first)
        assert sums.n_numbers == 12
    assert (first == 1).all()
    np.testing.assert_allclose(sums.mean_maps(), np.ones((1, 2, 2, 3)))


def test_attention_that_overflowed_is_refused():
    sums = LayerSums()
    sums.add("mid", (1, 1), torch.tensor([[[float("nan")]]]))
    with pytest.raises(TraceError, match=r"mid has NaN.*float32"):
        sums.mean_maps()


@pytest.mark.parametrize(
    ("layers", "fits"),
    [
        (None, [True, True, True]),
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
