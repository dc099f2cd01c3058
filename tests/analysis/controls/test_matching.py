"""Unrelated pairs matched with dependency pairs."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import match_pairs, measure_pairs, summarize
from daam_syntax.analysis.tables.pairs import exchange_roles
from daam_syntax.language import Edge
from helpers.examples import make_maps, make_sentence


def dependencies(table):
    return table[table["kind"] == "dependency"].reset_index(drop=True)


def test_matches_have_the_parts_of_speech_and_the_distance_of_their_pair():
    # "red car , red zebra": amod(car, red) at distance 1; no other adjacent adjective and noun is unrelated.
    # With "car" joined to the wrong adjective, "red zebra" is the unrelated pair next to it.
    edges = [Edge(1, 0, "amod"), Edge(1, 4, "conj"), Edge(1, 3, "amod")]
    maps = make_maps(sentence=make_sentence(edges=edges, pos={0: "ADJ", 3: "ADJ"}))
    matching = match_pairs(measure_pairs([maps, maps]))
    controls = matching.pairs[matching.pairs["kind"] == "matched"]
    assert controls["relation"].tolist() == ["amod", "amod"]  # of two images
    assert controls[["head_index", "dependent_index"]].drop_duplicates().values.tolist() == [[4, 3]]
    matched = dependencies(matching.pairs)
    assert matched[["head_index", "dependent_index"]].drop_duplicates().values.tolist() == [[1, 0]]
    rates = matching.rates.droplevel("scheme")
    # No unrelated noun and adjective are as far apart as car and the second red.
    assert rates.loc["amod"].tolist() == [2, 1, 0.5]
    assert rates.loc["conj", "rate"] == 0
    assert "1 of 3 dependency pairs" in repr(matching)


def described(pairs):
    """The parts of speech of head and dependent, and the distance, of every row."""
    columns = {"head_pos": "first", "dependent_pos": "second", "linear_distance": "distance"}
    return (
        pairs[list(columns)].rename(columns=columns).assign(distance=lambda t: t["distance"].abs())
    )


def in_both_orders(unrelated):
    """Unrelated pairs with either word as the head."""
    return pd.concat([unrelated, exchange_roles(unrelated)], ignore_index=True)


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
    unrelated = in_both_orders(many_pairs[many_pairs["kind"] == "unrelated"])
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


def test_every_pair_with_a_possible_match_is_matched(many_pairs):
    rates = match_pairs(many_pairs).rates
    one = many_pairs[many_pairs["image"] == 0]
    unrelated = in_both_orders(one[one["kind"] == "unrelated"])
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


def test_matches_have_the_roles_of_their_pair(many_pairs):
    """A measure with a direction is that of the matched pair's roles, not of the order of its words."""
    directed = many_pairs.assign(iod=many_pairs["iou"] / 2, ioh=many_pairs["iou"] / 3)
    matched = match_pairs(directed).pairs
    matched = matched[matched["kind"] == "matched"]
    backward = matched["head_index"] > matched["dependent_index"]
    np.testing.assert_allclose(matched["iod"], matched["iou"] / np.where(backward, 3, 2))
    assert 0 < backward.mean() < 1
    assert (np.sign(matched["linear_distance"]) == np.where(backward, -1, 1)).all()
    with pytest.raises(ValueError, match="ioh beside iod"):
        match_pairs(directed.drop(columns="ioh"))


def test_matching_depends_only_on_the_seed(many_pairs):
    first, again = (match_pairs(many_pairs).pairs for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(match_pairs(many_pairs, seed=1).pairs)


def test_matched_controls_are_summarized_by_relation(many_pairs):
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
