"""Distance in the tree as a dose of relatedness."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import dose_table, estimate_mean, measure_pairs, regress
from daam_syntax.language import Edge
from helpers.examples import make_maps, make_sentence
from helpers.simulated import pair_table


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
