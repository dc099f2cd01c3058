"""Binding of modifiers to nouns, worked out by hand on boxes."""

import numpy as np
import pytest
import xarray as xr

import daam_syntax as ds
from daam_syntax.analysis import BINDING_COLUMNS, binding_table
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps, Subword
from helpers.examples import SUBWORDS, box, make_maps, make_sentence

COLORS = {0: "ADJ", 2: "PUNCT", 3: "ADJ"}
MEASURES = ["head_area", "own_share", "other_share", "binding_margin", "neglect"]


def test_repeated_modifiers_and_a_noun_of_two_subwords_by_hand():
    table = binding_table(make_maps(sentence=make_sentence(pos=COLORS)))
    assert list(table.columns) == list(BINDING_COLUMNS)
    assert table["dependent_index"].tolist() == [0, 3]
    assert table["other"].tolist() == ["zebra", "car"]
    assert table["other_index"].tolist() == [4, 1]
    # Half of the first red lies on the car. The zebra is 0.6 on four pixels, and 0.2, below the cut, on four more.
    np.testing.assert_allclose(
        # The background is half of the image, and so of the first red's mass: the car's 8 pixels would get a third
        # of it, the zebra's 4 a sixth.
        table[MEASURES],
        [[8 / 24, 0.5, 0, 0.5 - 1 / 3 + 1 / 6, 0], [4 / 24, 1, 0, 1, 0.4]],
        atol=1e-6,
    )
    areas = ["other_area", "mean_other_area", "background_area", "n_others"]
    np.testing.assert_allclose(
        table[areas].astype(float), [[4 / 24, 4 / 24, 0.5, 1], [8 / 24, 8 / 24, 0.5, 1]]
    )
    assert table["reason"].eq("").all()


def test_attention_on_the_other_noun_makes_the_margin_negative():
    arrays = [make_maps().mean[row] for row in range(len(SUBWORDS))]
    arrays[1] = box(2, 4, 0, 3, value=0.01)  # the first red, four of six pixels on the zebra
    table = binding_table(make_maps(arrays, sentence=make_sentence(pos=COLORS)))
    found = table.loc[0, ["own_share", "other_share", "binding_margin"]].tolist()
    # A third of the mass is in the background, 12 of 24 pixels.
    assert found == pytest.approx([0, 4 / 6, -(8 / 12) / 3 - (4 / 6 - (4 / 12) / 3)])


def test_parts_of_longer_names_do_not_count_as_other_nouns():
    edges = (Edge(1, 0, "amod"), Edge(4, 3, "compound"), Edge(1, 4, "conj"), Edge(3, 2, "amod"))
    sentence = make_sentence(edges=edges, pos={0: "ADJ"})
    table = binding_table(make_maps(sentence=sentence))
    assert table["relation"].tolist() == ["amod", "compound", "amod"]
    assert table["other"].tolist()[:2] == ["zebra", "car"]
    assert (
        table["reason"].tolist()[2] == "head is part of a longer name; dependent's map has no mass"
    )
    only = binding_table(make_maps(sentence=sentence), relations="compound")
    assert only["dependent"].tolist() == ["red"]


def test_missing_measures_have_a_reason():
    arrays = [make_maps().mean[row] for row in range(4)]
    maps = make_maps(arrays, sentence=make_sentence(pos=COLORS), truncated_at=9)
    table = binding_table(maps)
    assert len(table) == 2
    assert table.loc[0, "own_share"] == 0.5
    assert table.loc[0, ["other_share", "binding_margin", "other", "other_index"]].isna().all()
    assert table.loc[0, "reason"] == "no other noun has a region"
    assert table.loc[1, MEASURES].isna().all()
    assert table.loc[1, "reason"].startswith("head is truncated")
    assert "dependent is truncated" in table.loc[1, "reason"]
    empty = [np.zeros_like(array) for array in arrays]
    nothing = binding_table(make_maps(empty, sentence=make_sentence(pos=COLORS), truncated_at=9))
    assert nothing.loc[0, "reason"] == (
        "head's mask is empty; no other noun has a region; dependent's map has no mass"
    )
    assert nothing.loc[0, "neglect"] == 1


def test_regions_that_leave_no_background_have_no_margin():
    arrays = [make_maps().mean[row] for row in range(len(SUBWORDS))]
    arrays[2] = box(0, 4, 0, 6)
    row = binding_table(make_maps(arrays, sentence=make_sentence(pos=COLORS))).iloc[0]
    assert row["own_share"] == 1
    assert np.isnan(row["binding_margin"])
    assert (row["background_area"], row["reason"]) == (0, "the regions leave no background")


FOUR = "red a , blue b , green c , white d"
COLOR_OF = {3 * n + 1: 3 * n for n in range(4)}


def four_nouns(rng, bound):
    """Maps of four nouns of different areas, with the map of each modifier from `bound`."""
    y, x = np.mgrid[:24, :30]
    corners = rng.permutation([(6, 7), (6, 22), (17, 7), (17, 22)])
    nouns = {
        noun: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
        for noun, (cy, cx), width in zip(COLOR_OF, corners, rng.uniform(1.5, 5, 4), strict=True)
    }
    sentence = make_sentence(
        FOUR,
        edges=[Edge(noun, color, "amod") for noun, color in COLOR_OF.items()],
        pos=dict.fromkeys(COLOR_OF.values(), "ADJ"),
    )
    colors = {color: bound(noun, nouns) for noun, color in COLOR_OF.items()}
    arrays = {**nouns, **colors}
    data = np.stack([arrays.get(i, np.zeros((24, 30))) for i in range(len(sentence.tokens))])
    subwords = [Subword(t.index, t.text, t.start, t.end) for t in sentence.tokens]
    maps = xr.DataArray(data.astype(np.float32), dims=("token", "y", "x"))
    return HeatMaps(maps, subwords, sentence, (24, 30))


def margins(bound, seed=0):
    """The mean margin of each of 40 images, and their table."""
    rng = np.random.default_rng(seed)
    table = binding_table([four_nouns(rng, lambda *of: bound(rng, *of)) for _ in range(40)])
    assert table["n_others"].eq(3).all()
    return table["binding_margin"].groupby(table["image"]).mean(), table


def test_a_modifier_at_random_among_four_nouns_has_no_margin():
    means, table = margins(lambda rng, noun, nouns: nouns[rng.choice(list(nouns))])
    error = means.std() / np.sqrt(len(means))
    assert error < 0.04
    assert abs(means.mean()) < 2.5 * error
    # The own share minus the largest other share is far below 0.
    assert (table["own_share"] - table["other_share"]).mean() < -0.2


def test_a_flat_modifier_has_no_margin_whatever_the_areas():
    _, table = margins(lambda rng, noun, nouns: np.full((24, 30), 0.1))
    np.testing.assert_allclose(table["binding_margin"], 0, atol=1e-6)
    assert (table["own_share"] - table["other_share"]).mean() < -0.03  # smaller nouns get less


def test_a_modifier_on_its_own_noun_has_a_margin():
    def mostly_own(rng, noun, nouns):
        return nouns[noun if rng.random() < 0.5 else rng.choice(list(nouns))]

    means, _ = margins(mostly_own)
    assert means.mean() > 4 * means.std() / np.sqrt(len(means))
    every, _ = margins(lambda rng, noun, nouns: nouns[noun])
    assert every.min() > 0.5


def test_a_summary_of_the_table_averages_its_measures():
    maps = [
        make_maps(sentence=make_sentence(pos=COLORS), provenance={"prompt_id": f"p{n}"})
        for n in range(6)
    ]
    summary = ds.summarize(ds.binding_table(maps), measure="binding_margin")
    assert summary["n_prompts"].tolist() == [6]
    assert summary.loc[0, ["own_share", "other_share", "binding_margin", "neglect"]].tolist() == (
        pytest.approx([0.75, 0, (1 / 3 + 1) / 2, 0.2])
    )


def test_unknown_rules_and_schemes_are_refused():
    with pytest.raises(ThresholdError):
        binding_table(make_maps(), threshold="median")
    with pytest.raises(ValueError, match="schemes"):
        binding_table(make_maps(), scheme="native")
