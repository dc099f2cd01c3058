"""Controls on maps whose answers can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    CONTROLS,
    MEASURES,
    PAIR_COLUMNS,
    attention_shares,
    cross_prompt_pairs,
    dose_table,
    estimate_mean,
    match_pairs,
    measure_pairs,
    normalise_over_tokens,
    permuted_pairs,
    regress,
    shifted_pairs,
    summarize,
)
from daam_syntax.language import Edge
from helpers.examples import box, make_maps, make_sentence
from helpers.simulated import pair_table


def dependencies(table):
    return table[table["kind"] == "dependency"].reset_index(drop=True)


# Matched pairs


def test_matches_have_the_parts_of_speech_and_the_distance_of_their_pair():
    # "red car , red zebra": amod(car, red) at distance 1; no other adjacent adjective and noun is unrelated.
    # With "car" joined to the wrong adjective, "red zebra" is the unrelated pair next to it.
    edges = [Edge(1, 0, "amod"), Edge(1, 4, "conj"), Edge(1, 3, "amod")]
    maps = make_maps(sentence=make_sentence(edges=edges, pos={0: "ADJ", 3: "ADJ"}))
    matching = match_pairs(measure_pairs([maps, maps]))
    controls = matching.pairs[matching.pairs["kind"] == "matched"]
    assert controls["relation"].tolist() == ["amod", "amod"]  # of two images
    assert controls[["head_index", "dependent_index"]].drop_duplicates().values.tolist() == [[3, 4]]
    matched = dependencies(matching.pairs)
    assert matched[["head_index", "dependent_index"]].drop_duplicates().values.tolist() == [[1, 0]]
    rates = matching.rates.droplevel("scheme")
    assert rates.loc["amod"].tolist() == [
        2,
        1,
        0.5,
    ]  # amod(car, second red) runs from noun to adjective
    assert rates.loc["conj", "rate"] == 0
    assert "1 of 3 dependency pairs" in repr(matching)


def described(pairs):
    """The parts of speech in order, and the distance, of every row."""
    swap = pairs["linear_distance"] < 0
    first = np.where(swap, pairs["dependent_pos"], pairs["head_pos"])
    second = np.where(swap, pairs["head_pos"], pairs["dependent_pos"])
    return pd.DataFrame(
        {"first": first, "second": second, "distance": pairs["linear_distance"].abs()}
    )


@pytest.fixture(scope="module")
def many_pairs():
    """Random trees over random parts of speech, without maps."""
    rng = np.random.default_rng(8)
    rows = []
    for p in range(15):
        pos = rng.choice(["NOUN", "ADJ"], 7)
        for first in range(7):
            for second in range(first + 1, 7):
                kind = "dependency" if rng.random() < 0.3 else "unrelated"
                h, d = (
                    (first, second)
                    if rng.random() < 0.5 or kind == "unrelated"
                    else (second, first)
                )
                rows.append(
                    {
                        "prompt_id": f"p{p:02}",
                        "scheme": "ud",
                        "kind": kind,
                        "relation": rng.choice(["amod", "conj"]) if kind == "dependency" else kind,
                        "head_index": h,
                        "dependent_index": d,
                        "head_pos": pos[h],
                        "dependent_pos": pos[d],
                        "linear_distance": d - h,
                    }
                )
    pairs = pd.DataFrame(rows)
    images = [pairs.assign(image=i, seed=i, threshold="relative:0.4") for i in range(2)]
    return pd.concat(images, ignore_index=True).assign(iou=rng.random(2 * len(pairs)))


@pytest.mark.parametrize("caliper", [0, 1])
def test_every_pair_has_one_match_per_image_within_the_caliper(many_pairs, caliper):
    matching = match_pairs(many_pairs, caliper=caliper)
    pairs, controls = (
        matching.pairs[matching.pairs["kind"] == k] for k in ("dependency", "matched")
    )
    assert len(pairs) == len(controls) == 2 * matching.rates["n_matched"].sum()
    place = ["relation", "prompt_id", "image"]
    counts = pairs.groupby(place).size()
    assert counts.equals(controls.groupby(place).size())
    key = ["prompt_id", "scheme", "image", "head_index", "dependent_index"]
    unrelated = many_pairs[many_pairs["kind"] == "unrelated"]
    values = controls.merge(unrelated, on=key, suffixes=("", "_source"))
    assert (values["iou"] == values["iou_source"]).all()
    assert len(values) == len(controls)
    totals = [
        described(side).groupby(["first", "second"])["distance"].sum() for side in (pairs, controls)
    ]
    if caliper == 0:
        assert totals[0].equals(totals[1])
    else:
        strict = match_pairs(many_pairs).rates["n_matched"].sum()
        assert matching.rates["n_matched"].sum() > strict
        assert (
            abs(totals[0] - totals[1]) <= described(pairs).groupby(["first", "second"]).size()
        ).all()


def test_matching_leaves_no_pair_out_that_has_a_match(many_pairs):
    rates = match_pairs(many_pairs).rates
    one = many_pairs[many_pairs["image"] == 0]
    unrelated = one[one["kind"] == "unrelated"]
    pool = set(
        zip(unrelated["prompt_id"], *described(unrelated).to_numpy().T.tolist(), strict=True)
    )
    pairs = one[one["kind"] == "dependency"]
    having = [
        key in pool
        for key in zip(pairs["prompt_id"], *described(pairs).to_numpy().T.tolist(), strict=True)
    ]
    assert rates["n_matched"].sum() == sum(having)
    assert rates["n_pairs"].sum() == len(pairs)
    assert 0 < sum(having) < len(having)


def test_matching_depends_on_the_seed_alone(many_pairs):
    first, again = (match_pairs(many_pairs).pairs for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(match_pairs(many_pairs, seed=1).pairs)


def test_matched_controls_are_summed_up_relation_by_relation(many_pairs):
    matching = match_pairs(many_pairs)
    summary = summarize(matching.pairs, control="matched").set_index(["kind", "relation"])
    for relation in ("amod", "conj"):
        found = summary.loc[("dependency", relation)]
        chosen = matching.pairs[matching.pairs["relation"] == relation]
        means = (
            chosen.groupby(["prompt_id", "kind", "image"])["iou"]
            .mean()
            .groupby(level=[0, 1])
            .mean()
        )
        expected = means.xs("dependency", level=1) - means.xs("matched", level=1)
        assert found["difference"] == pytest.approx(expected.mean())


def test_tables_without_pairs_have_no_matches(many_pairs):
    matching = match_pairs(many_pairs[many_pairs["kind"] == "unrelated"])
    assert matching.pairs.empty
    assert matching.rates.empty
    alone = match_pairs(many_pairs[many_pairs["kind"] == "dependency"])
    assert alone.pairs.empty
    assert alone.rates["rate"].eq(0).all()


# Tree distance


def test_doses_are_the_means_of_each_distance():
    pairs = measure_pairs([make_maps(), make_maps()])
    table = dose_table(pairs).set_index("tree_distance")
    for distance, rows in pairs.groupby("tree_distance"):
        assert table.loc[distance, "estimate"] == pytest.approx(estimate_mean(rows).estimate)
    assert table.index.tolist() == [1, 2, 3]
    apart = measure_pairs(make_maps(sentence=make_sentence(edges=[Edge(1, 0, "amod")])))
    assert dose_table(apart)["tree_distance"].isna().sum() == 1


def test_the_slope_on_tree_distance_is_a_regression_without_groups():
    rng = np.random.default_rng(3)
    rows = pair_table({f"p{i}": rng.random((2, 6)).tolist() for i in range(9)})
    rows["tree_distance"] = pd.array(rng.integers(1, 5, len(rows)), dtype="Int64")
    rows["linear_distance"] = rng.integers(1, 5, len(rows))
    rows["iou"] = 0.5 - 0.1 * rows["tree_distance"].astype(float) + rng.normal(0, 0.01, len(rows))
    slope = regress(rows, by=None, covariates=["tree_distance", "linear_distance"]).terms
    assert slope["term"].tolist() == ["intercept", "tree_distance", "linear_distance"]
    assert slope["estimate"].tolist()[1:] == pytest.approx([-0.1, 0], abs=0.005)


# Controls that measure other maps


def test_shifts_keep_areas_and_lose_the_place():
    maps = [make_maps(provenance={"seed": s}) for s in (0, 1)]
    original = dependencies(measure_pairs(maps, size="grid"))
    table = shifted_pairs(maps, n=3, size="grid")
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert len(table) == 3 * len(original) == 24
    assert set(table["kind"]) == {"shifted"}
    for i in range(3):
        part = table.iloc[8 * i : 8 * i + 8]
        same = [c for c in PAIR_COLUMNS if c not in (*MEASURES, "kind", "reason")]
        pd.testing.assert_frame_equal(
            part[same].reset_index(drop=True), original[same], check_dtype=False
        )
        for area in ("head_area", "dependent_area"):
            np.testing.assert_allclose(part[area], original[area])
        # the cut of the zebra's map is at 0.4 of its maximum wherever it is
        assert part["reason"].tolist() == original["reason"].tolist()
    assert table["iou"].nunique() > 2


def test_shifted_overlaps_are_those_of_some_shift_of_the_torus():
    head, dependent = box(0, 2, 2, 6) > 0, box(0, 2, 0, 4) > 0
    shifts = [
        np.roll(dependent, (y, x), (0, 1)) for y in range(4) for x in range(6) if (y, x) != (0, 0)
    ]
    possible = {round(float((head & s).sum() / (head | s).sum()), 6) for s in shifts}
    table = shifted_pairs(make_maps(), n=30, size="grid")
    red_car = table[(table["head_index"] == 1) & (table["dependent_index"] == 0)]
    assert set(red_car["iou"].round(6)) <= possible
    assert red_car["iou"].nunique() > 3


def other_prompt(text="blue car , blue cow", seed=0):
    sentence = make_sentence(text, pos={0: "ADJ", 3: "ADJ"})
    return make_maps(
        [box(0, 4, 0, 6)] * 8, sentence=sentence, provenance={"seed": seed}, image_size=(4, 6)
    )


def test_cross_prompt_pairs_take_a_word_of_another_prompt():
    red = make_maps(sentence=make_sentence(pos={0: "ADJ", 3: "ADJ"}), provenance={"seed": 0})
    table = cross_prompt_pairs([red, other_prompt()])
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert set(table["kind"]) == {"cross-prompt"}
    mine = table[table["image"] == 0]
    assert mine["prompt"].unique().tolist() == ["red car , red zebra"]
    assert mine["prompt_id"].unique().tolist() == measure_pairs(red)["prompt_id"].unique().tolist()
    amod = mine[mine["relation"] == "amod"]
    assert amod["dependent"].tolist() == ["blue", "blue"]
    # the other prompt's maps cover everything: the overlap is the head's own area
    assert amod["iou"].tolist() == pytest.approx(amod["head_area"].tolist())
    assert amod["dependent_area"].tolist() == [1, 1]
    conj = mine[mine["relation"] == "conj"]
    assert conj["dependent"].tolist() == ["cow"]  # "car" has the head's own lemma
    assert table["tree_distance"].isna().all()
    assert table["linear_distance"].isna().all()


def test_cross_prompt_pairs_without_a_partner_are_rows_with_a_reason():
    red = make_maps(provenance={"seed": 0})
    other_seed = other_prompt(seed=7)
    same_prompt = make_maps(provenance={"seed": 0})
    for others in ([], [other_seed], [same_prompt]):
        table = cross_prompt_pairs([red, *others])
        mine = table[table["image"] == 0]
        assert len(mine) == 4
        assert mine[list(MEASURES)].drop(columns="head_area").isna().all(axis=None)
        assert mine["reason"].str.contains("no image of another prompt has such a word").all()


def test_permuted_pairs_are_rows_of_the_measured_table():
    maps = make_maps()
    every = measure_pairs(maps)
    table = permuted_pairs(maps, n=20)
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert table["relation"].value_counts().to_dict() == {"amod": 40, "conj": 20, "punct": 20}
    iou = {frozenset((r.head_index, r.dependent_index)): r.iou for r in every.itertuples()}
    words = table[table["relation"] != "punct"]
    assert {
        frozenset(p) for p in zip(words["head_index"], words["dependent_index"], strict=True)
    } == {frozenset(p) for p in [(0, 1), (0, 3), (0, 4), (1, 3), (1, 4), (3, 4)]}
    for found in words.itertuples():
        assert found.iou == pytest.approx(iou[frozenset((found.head_index, found.dependent_index))])
    assert (table[table["relation"] == "punct"]["dependent_index"] == 2).all()


def test_permuted_pairs_of_a_sentence_whose_other_schemes_have_roots_of_their_own():
    sentence = replace(make_sentence(), edges={"ud": (Edge(1, 0, "amod"),), "enhanced": ()})
    sentence = replace(sentence, root_indices={"enhanced": (1,)})
    assert len(permuted_pairs(make_maps(sentence=sentence), n=2)) == 2


@pytest.mark.parametrize("control", [shifted_pairs, permuted_pairs])
def test_words_without_maps_stay_rows_with_a_reason(control):
    cut = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    table = control(cut)
    conj = table[table["relation"] == "conj"]
    assert len(conj) == 4
    assert conj["iou"].isna().all()
    assert conj["reason"].str.contains("dependent is truncated: the encoder read only").all()


@pytest.mark.parametrize("control", [shifted_pairs, cross_prompt_pairs, permuted_pairs])
def test_controls_pass_options_on_and_depend_on_the_seed_alone(control):
    maps = [make_maps(provenance={"seed": 0}), other_prompt()]
    options = {"threshold": ["relative:0.4", "absolute:0.15"], "size": "grid"}
    table = control(maps, **options)
    assert set(table["threshold"]) == set(options["threshold"])
    pd.testing.assert_frame_equal(table, control(maps, **options))
    assert any(not table.equals(control(maps, seed=s, **options)) for s in range(1, 5))


@pytest.mark.parametrize("control", [shifted_pairs, cross_prompt_pairs, permuted_pairs])
def test_controls_of_images_without_edges_are_empty_tables(control):
    alone = make_maps([np.ones((4, 6), np.float32)] * 2, sentence=make_sentence("red", edges=()))
    assert list(control([alone]).columns) == list(PAIR_COLUMNS)
    assert control([alone]).empty


def test_every_kind_says_what_it_removes():
    assert set(CONTROLS) == {"unrelated", "matched", "cross-prompt", "shifted", "permuted"}


# Competition among tokens


def test_normalised_maps_sum_to_one_over_the_words():
    maps = make_maps()
    normalised = normalise_over_tokens(maps)
    total = normalised.data.values.sum(axis=0)
    covered = maps.data.values[1:7].sum(axis=0) > 0
    np.testing.assert_allclose(total[covered], 1, rtol=1e-6)
    assert (total[~covered] == 0).all()
    # at (0, 0) red is alone; at (0, 2) red and car share; at (2, 0) red, ze 0.8 and bra 0.4
    values = normalised.data.values
    assert values[1, 0, 0] == 1
    assert values[1:3, 0, 2].tolist() == [0.5, 0.5]
    assert values[4:7, 2, 0].tolist() == pytest.approx([1 / 2.2, 0.8 / 2.2, 0.4 / 2.2])
    assert (values[[0, 7]] == 0).all()
    assert normalised.provenance["normalised"] == "over the text's tokens"
    assert len(measure_pairs(normalised)) == len(measure_pairs(maps))


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
