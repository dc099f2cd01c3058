"""Shares of attention among tokens, worked out by hand on boxes."""

import numpy as np
import pytest
import xarray as xr

from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.analysis.tables.shares import (
    attention_shares,
    normalize_over_tokens,
    remove_mean_map,
)
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps, Subword
from helpers.examples import box, make_maps, make_sentence


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


def test_the_mean_map_is_removed_by_hand():
    """Maps at mean 1: red and car are 3 on their 8 pixels, the second red 6 on its 4, the comma has no mass."""
    maps = make_maps()
    without = remove_mean_map(maps)
    zebra = 24 / (4 * 0.6 + 4 * 0.2)  # 0.6 on four pixels, and 0.2 on four
    mean = {
        "red": 3 / 4,  # of four words, since punctuation does not count
        "both": 6 / 4,
        "zebra": (6 + 0.6 * zebra) / 4,
        "zebra's edge": 0.2 * zebra / 4,
    }
    red, car, second, whole = (without[index].values for index in (0, 1, 3, 4))
    np.testing.assert_allclose(
        red, box(0, 2, 0, 2, value=3 - mean["red"]) + box(0, 2, 2, 4, value=3 - mean["both"])
    )
    np.testing.assert_allclose(
        car, box(0, 2, 4, 6, value=3 - mean["red"]) + box(0, 2, 2, 4, value=3 - mean["both"])
    )
    np.testing.assert_allclose(second, box(2, 4, 0, 2, value=6 - mean["zebra"]), atol=1e-6)
    edge = box(2, 4, 2, 4, value=0.2 * zebra - mean["zebra's edge"])
    inside = box(2, 4, 0, 2, value=0.6 * zebra - mean["zebra"])
    np.testing.assert_allclose(whole, inside + edge, atol=1e-6)
    assert not without[2].values.any()
    assert not without.mean[[0, 7]].any()  # start and end
    np.testing.assert_array_equal(without.mean[5], without.mean[6])  # ze, bra
    assert without.provenance["mean_map"] == "removed"
    scaled = maps.with_values(maps.mean * np.arange(1, 9)[[0, 1, 2, 3, 4, 5, 5, 7], None, None])
    np.testing.assert_allclose(remove_mean_map(scaled).mean, without.mean, atol=1e-6)


def test_a_mean_map_is_removed_only_once():
    without = remove_mean_map(make_maps())
    with pytest.raises(ValueError, match="the mean map was removed from these already"):
        remove_mean_map(without)
    assert not remove_mean_map(make_maps([np.ones((4, 6))] * 3)).mean.any()  # words that are alike


def test_steps_and_heads_are_averaged_before_the_mean_map_is_removed():
    maps = make_maps()
    kept = maps.with_values(
        xr.DataArray(
            np.stack([0.5 * maps.mean, 1.5 * maps.mean], 1), dims=("token", "step", "y", "x")
        )
    )
    np.testing.assert_allclose(remove_mean_map(kept).mean, remove_mean_map(maps).mean, atol=1e-6)


def blob(y, x, width):
    rows, columns = np.mgrid[:24, :30]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))


def words_with_a_common_center(rng, n=8):
    """Independent words, each a blob at a random place, to all of which the same center is added."""
    sentence = make_sentence(" ".join(f"w{i}" for i in range(n)), edges=[Edge(0, 1, "dep")])
    own = [blob(*rng.uniform(0, (24, 30)), rng.uniform(2, 5)) for _ in range(n)]
    values = np.stack([blob(11.5, 14.5, 5) * rng.uniform(0.8, 1.2) + word for word in own])
    data = xr.DataArray(values.astype(np.float32), dims=("token", "y", "x"))
    return HeatMaps(
        data,
        [Subword(t.index, t.text, t.start, t.end) for t in sentence.tokens],
        sentence,
        (24, 30),
    )


def test_independent_words_with_a_common_center_overlap_only_before_the_mean_map_is_removed():
    rng = np.random.default_rng(0)
    images = [words_with_a_common_center(rng) for _ in range(40)]
    phi = [
        measure_pairs(maps, measures="phi")["phi"].mean()
        for maps in (images, [remove_mean_map(image) for image in images])
    ]
    assert phi[0] > 0.5
    assert -1 / 7 < phi[1] < 0.02  # negative dependence is what removing a mean leaves


def test_related_words_still_overlap_after_the_mean_map_is_removed():
    rng = np.random.default_rng(1)
    images = []
    for _ in range(20):
        maps = words_with_a_common_center(rng)
        values = maps.mean.copy()
        values[1] = 0.7 * values[0] + 0.3 * values[1]
        images.append(remove_mean_map(maps.with_values(values)))
    table = measure_pairs(images, measures="phi").groupby("kind")["phi"].mean()
    assert table["dependency"] > 0.4
    assert table["unrelated"] < 0.02
