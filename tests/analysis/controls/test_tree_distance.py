"""Distance in the tree as a dose of relatedness."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import dose_table, measure_pairs, prompt_means, regress
from daam_syntax.language import Edge
from helpers.examples import make_maps, make_sentence
from helpers.simulated import pair_table, phrase_pairs


@pytest.fixture
def pairs():
    """Words with effects of their own, and overlap that falls with the distance in the sentence."""
    rng = np.random.default_rng(4)
    table = phrase_pairs(n_prompts=20)
    words = rng.normal(0, 1, (table["image"].max() + 1, 9))
    image = table["image"].to_numpy()
    own = sum(words[image, table[role].to_numpy()] for role in ("head_index", "dependent_index"))
    near = 1 / table["linear_distance"].abs()
    return table.assign(iou=own + near + rng.normal(0, 0.1, len(table)))


def test_doses_are_differences_from_the_farthest_words(pairs):
    dose = pairs["tree_distance"].map({1: 0.5, 2: 0.2}).fillna(0.0)
    table = dose_table(pairs.assign(iou=pairs["iou"] + dose), farthest=3, accept="place")
    assert table["tree_distance"].tolist() == [1, 2, 3]
    first, second, last = table.to_dict("records")
    assert first["low"] < 0.5 < first["high"]
    assert second["low"] < 0.2 < second["high"]
    assert first["p_adjusted"] < 0.01
    assert last["reason"] == "the reference"
    assert np.isnan(last["difference"])


def test_nothing_is_found_where_only_distance_in_the_sentence_matters(pairs):
    table = dose_table(pairs, farthest=3, accept="place")
    assert table["mean"].iloc[0] > table["mean"].iloc[2] + 0.2
    assert table["p_adjusted"].min() > 0.05


def test_prompts_of_one_structure_are_one_structure(pairs):
    """What exchanged places leave is the same in all of them, and does not average out."""
    reasons = dose_table(pairs, farthest=3)["reason"]
    assert reasons.iloc[0].startswith(
        "1 structure, and a regression needs at least 5: prompts share"
    )


def test_means_and_counts_are_those_of_the_pairs(pairs):
    table = dose_table(pairs).set_index("tree_distance")
    for distance, rows in pairs.groupby(pairs["tree_distance"].clip(upper=4)):
        assert table.loc[distance, "mean"] == pytest.approx(prompt_means(rows, "iou").mean())
        assert table.loc[distance, "n_pairs"] == len(rows)


def test_words_that_no_path_joins_are_left_out():
    apart = measure_pairs(make_maps(sentence=make_sentence(edges=[Edge(1, 0, "amod")])))
    assert apart["tree_distance"].isna().any()
    table = dose_table(apart)
    assert table["n_pairs"].sum() == apart["tree_distance"].notna().sum() == 1
    assert "1 cluster, and a regression needs" in table["reason"].iloc[0]


def test_the_farthest_distance_is_at_least_2(pairs):
    with pytest.raises(ValueError, match="at least 2, but got 1"):
        dose_table(pairs, farthest=1)


def test_the_slope_on_tree_distance_is_a_regression_without_groups(pairs):
    slope = regress(
        pairs, by=None, covariates=["tree_distance", "log_distance", "adjacency"], accept="place"
    )
    assert slope.terms["term"].tolist() == ["tree_distance", "log_distance", "adjacency"]
    steeper = pairs.assign(iou=pairs["iou"] - 0.1 * pairs["tree_distance"])
    found = regress(
        steeper, by=None, covariates=["tree_distance", "log_distance", "adjacency"], accept="place"
    )
    change = found.terms["estimate"] - slope.terms["estimate"]
    np.testing.assert_allclose(change, [-0.1, 0, 0], atol=1e-12)


def test_tables_without_unrelated_pairs_are_regressed_pair_by_pair():
    rng = np.random.default_rng(3)
    rows = pair_table({f"p{i}": rng.random((2, 6)).tolist() for i in range(9)})
    rows["tree_distance"] = pd.array(rng.integers(1, 5, len(rows)), dtype="Int64")
    rows["linear_distance"] = rng.integers(1, 5, len(rows))
    rows["iou"] = 0.5 - 0.1 * rows["tree_distance"].astype(float) + rng.normal(0, 0.01, len(rows))
    chosen = ["tree_distance", "linear_distance"]
    slope = regress(rows, by=None, covariates=chosen, within=None).terms
    assert slope["term"].tolist() == ["intercept", *chosen]
    assert slope["estimate"].tolist()[1:] == pytest.approx([-0.1, 0], abs=0.005)
