"""Shares of attention among tokens, worked out by hand on boxes."""

import numpy as np
import pytest

from daam_syntax.analysis import attention_shares, measure_pairs, normalize_over_tokens
from helpers.examples import make_maps


def test_normalized_maps_sum_to_one_over_the_words():
    maps = make_maps()
    normalized = normalize_over_tokens(maps)
    total = normalized.data.values.sum(axis=0)
    covered = maps.data.values[1:7].sum(axis=0) > 0
    np.testing.assert_allclose(total[covered], 1, rtol=1e-6)
    assert (total[~covered] == 0).all()
    # At (0, 0) red is alone; at (0, 2) red and car share; at (2, 0) there are red, ze (0.8), and bra (0.4).
    values = normalized.data.values
    assert values[1, 0, 0] == 1
    assert values[1:3, 0, 2].tolist() == [0.5, 0.5]
    assert values[4:7, 2, 0].tolist() == pytest.approx([1 / 2.2, 0.8 / 2.2, 0.4 / 2.2])
    assert (values[[0, 7]] == 0).all()
    assert normalized.provenance["normalized"] == "over the text's tokens"
    assert len(measure_pairs(normalized)) == len(measure_pairs(maps))


def test_shares_of_attention_by_hand():
    table = attention_shares([make_maps(), make_maps()])
    first = table[table["image"] == 0].set_index("kind")
    assert first["n_tokens"].to_dict() == {"start": 1, "text": 6, "end": 1, "padding": 0}
    assert np.isnan(first.loc["padding", "attention"])
    assert first["reason"].to_dict() == {
        "start": "",
        "text": "",
        "end": "",
        "padding": "padding was not recorded: trace with padding=True",
    }
    assert first.loc["start", "attention"] == pytest.approx(0.1)
    assert first.loc["end", "attention"] == pytest.approx(0.2)
    assert first.loc["text", "attention"] == pytest.approx((8 + 8 + 4 + 4 * 0.8 + 8 * 0.4) / 24)
