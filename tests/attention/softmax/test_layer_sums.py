"""Running sums of attention: means, memory, kept axes."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from daam_syntax.attention.softmax.layer_sums import LayerSums
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


def test_memory_does_not_grow_and_inputs_are_unchanged():
    sums = LayerSums()
    first = torch.ones(1, 6, 2)
    for _ in range(5):
        sums.add("a", (2, 3), first)
        assert sums.n_bytes == 4 * 12
    assert (first == 1).all()
    np.testing.assert_allclose(sums.mean_maps(), np.ones((1, 2, 2, 3)))


def test_attention_that_overflowed_is_refused():
    sums = LayerSums()
    sums.add("mid", (1, 1), torch.tensor([[[float("nan")]]]))
    with pytest.raises(TraceError, match=r"mid has NaN.*float32"):
        sums.mean_maps()


class TestAxes:
    """Two layers of 1 x 2 pixels and one of 2 x 2, two heads, one token, three steps."""

    GRIDS: ClassVar = {"coarse a": (1, 2), "fine": (2, 2), "fine too": (2, 2), "coarse b": (1, 2)}

    def run(self, keep, steps=3):
        generator = torch.Generator().manual_seed(0)
        sums = LayerSums(keep)
        calls = {}
        for step in range(steps):
            for layer, grid in self.GRIDS.items():
                call = torch.rand(2, 2, grid[0] * grid[1], 3, generator=generator)
                calls[step, layer] = call
                sums.add(layer, grid, call if "head" in keep else call.mean(dim=1), step)
            sums.settle()
        return sums, calls

    def test_layers_of_the_finest_grid_share_a_sum_in_any_order(self):
        sums, calls = self.run(["step"])
        assert sums.n_bytes == 4 * (2 + 4 + 2) * 3 * 2 * 3
        maps = sums.kept_maps(1, [0, 2], [30.0, 20.0, 10.0])
        assert [part.layers for part in maps.parts] == [
            ("coarse a",),
            ("fine", "fine too"),
            ("coarse b",),
        ]
        expected = [
            (calls[step, "fine"] + calls[step, "fine too"])[1].mean(0) / 2 for step in range(3)
        ]
        fine = maps.parts[1].values
        assert fine.dims == ("token", "step", "y", "x")
        for step, each in enumerate(expected):
            given = fine.isel(step=step).values.reshape(2, 4)
            np.testing.assert_allclose(given, each.T[[0, 2]], atol=1e-6)
        np.testing.assert_array_equal(fine["timestep"], [30, 20, 10])

    def test_layers_that_ran_unevenly_are_refused(self):
        sums, _ = self.run(["step"])
        sums.add("fine", (2, 2), torch.rand(2, 4, 3), 2)
        with pytest.raises(TraceError, match=r"keep the axes step.*fine 4; fine too 3"):
            sums.kept_maps(0, [0], [3.0, 2.0, 1.0])
