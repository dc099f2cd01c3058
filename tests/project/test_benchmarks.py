"""Parts that the benchmarks share, and their page."""

import numpy as np
import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock

from benchmarks import report
from benchmarks.blocks import N_TOKENS, Block, attention_of, traced
from benchmarks.peers import DAAM, warmed_up
from benchmarks.side_by_side import ratio, seconds
from daam_syntax.attention.families import TokenLayout


def test_the_page_shows_the_results():
    assert report.PAGE.read_text(encoding="utf-8") == report.page(), (
        "results changed: python -m benchmarks.report"
    )


def test_ways_take_turns_and_are_compared_round_by_round():
    ran = []
    clock = iter(range(100))
    ways = {name: lambda name=name: ran.append(name) for name in "ab"}
    taken = seconds(ways, 3, lambda: float(next(clock) ** 2))
    assert "".join(ran) == "abbaab"
    np.testing.assert_array_equal(taken["a"], [1 - 0, 49 - 36, 81 - 64])
    np.testing.assert_array_equal(taken["b"], [9 - 4, 25 - 16, 121 - 100])


def test_a_ratio_is_the_median_of_the_rounds():
    found = ratio(np.array([2.0, 3.0, 8.0]), np.array([1.0, 2.0, 2.0]))
    assert found["ratio"] == 2
    assert 1.5 <= found["low"] <= 2 <= found["high"] <= 4
    assert found["rounds"] == 3


def test_another_package_that_fails_is_left_out():
    ways = {"untraced": lambda: None, DAAM: lambda: 1 / 0}
    assert warmed_up(ways) == (
        {"untraced": ways["untraced"]},
        {DAAM: "ZeroDivisionError: division by zero"},
    )
    with pytest.raises(ZeroDivisionError):
        warmed_up({"traced": lambda: 1 / 0})


@pytest.mark.parametrize("alone", [False, True])
def test_a_traced_block_does_the_same(alone, monkeypatch):
    torch.manual_seed(0)
    block = Block(
        BasicTransformerBlock(16, 2, 8, cross_attention_dim=12).eval(),
        {
            "hidden_states": torch.randn(2, 20, 16),
            "encoder_hidden_states": torch.randn(2, 2 * N_TOKENS, 12),
        },
        "attn2",
        TokenLayout(slice(0, 20), slice(0, 2 * N_TOKENS)),
        slice(1, 2),
    )
    block = attention_of(block) if alone else block
    untraced = block.run()
    shapes = []
    add = "daam_syntax.attention.softmax.layer_sums.LayerSums.add"
    monkeypatch.setattr(add, lambda sums, path, grid, shares: shapes.append(shares.shape))
    with traced(block):
        assert torch.equal(block.run(), untraced)
    assert shapes == [(1, 20, N_TOKENS)]
    assert torch.equal(block.run(), untraced)
    assert len(shapes) == 1
