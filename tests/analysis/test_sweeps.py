"""Sweeps over thresholds, their curves, and the areas under them."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    CURVE_COLUMNS,
    measure_pairs,
    summarize,
    sweep,
    sweep_auc,
    sweep_curves,
)
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from helpers.examples import box, make_maps, make_sentence

VALUES = (0.1, 0.3, 0.7, 0.9)


def images(n):
    """Images of `n` prompts on a non-square grid."""
    generator = np.random.default_rng(0)
    return [
        make_maps(list(generator.random((8, 4, 6)) ** 2), provenance={"prompt_id": f"p{i}"})
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def swept():
    return sweep(images(6), values=VALUES)


def test_a_sweep_is_the_pair_tables_of_all_thresholds(swept):
    for value in VALUES:
        rows = swept[swept["value"] == value].reset_index(drop=True)
        rule = f"relative:{value}"
        expected = measure_pairs(images(6), threshold=rule, measures=("iou", "iod", "ioh", "lift"))
        pd.testing.assert_frame_equal(rows.drop(columns=["rule", "value"]), expected)
    assert set(swept["rule"]) == {"relative"}
    shuffled = sweep(images(1), values=reversed(VALUES), measures="phi", unrelated=False)
    assert shuffled["value"].drop_duplicates().tolist() == list(VALUES)
    assert set(shuffled["kind"]) == {"dependency"}


def test_curves_are_means_over_prompts(swept):
    curves = sweep_curves(swept, n_resamples=99)
    assert set(CURVE_COLUMNS) | {"relation"} == set(curves.columns)
    assert len(curves) == 4 * 4 * 4  # relations with the control, thresholds, measures
    for value in VALUES:
        summary = summarize(swept[swept["value"] == value]).set_index("relation")
        found = curves[(curves["value"] == value) & (curves["measure"] == "iou")]
        found = found.set_index("relation")
        for relation in ("amod", "conj", "unrelated"):
            assert found.loc[relation, "mean"] == pytest.approx(summary.loc[relation, "iou"])
            assert found.loc[relation, "n_prompts"] == 6
    low, mean, high = (
        curves.loc[curves["relation"] == "unrelated", c] for c in ("low", "mean", "high")
    )
    assert (
        (low < mean) & (mean < high)
    ).sum() >= 12  # an interval can be empty where most overlaps are 0


def test_the_area_is_the_mean_height_of_the_curve_of_a_pair(swept):
    areas = sweep_auc(swept)
    assert len(areas) == len(swept) / 4
    assert set(areas["threshold"]) == {"relative:0.1-0.9"}
    keys = ["image", "relation", "head_index", "dependent_index"]
    for _, got in areas.iterrows():
        curve = swept[(swept[keys] == got[keys]).all(axis=1)].sort_values("value")
        # By hand: the trapezoids between 0.1, 0.3, 0.7, and 0.9.
        a, b, c, d = curve["iou"]
        by_hand = (0.2 * (a + b) / 2 + 0.4 * (b + c) / 2 + 0.2 * (c + d) / 2) / 0.8
        assert got["iou"] == pytest.approx(by_hand)
        assert got["reason"] == ""
    assert summarize(areas)["n_pairs"].sum() == len(areas)


def test_a_curve_with_a_gap_has_a_reason_instead_of_an_area():
    table = sweep(make_maps(), rule="absolute", values=(0.05, 0.5, 0.7), measures=("iou", "lift"))
    zebra = (table["head_index"] == 4) & (table["dependent_index"] == 3)
    assert table.loc[zebra, "iou"].notna().tolist() == [True, True, False]
    areas = sweep_auc(table).set_index(["head_index", "dependent_index"])
    assert np.isnan(areas.loc[(4, 3), "iou"])
    assert areas.loc[(4, 3), "reason"] == "head's mask is empty"
    assert areas.loc[(1, 0), "iou"] == pytest.approx(1 / 3)
    curves = sweep_curves(table).set_index(["relation", "value", "measure"])
    assert np.isnan(curves.loc[("punct", 0.05, "iou"), "mean"])
    assert np.isnan(curves.loc[("amod", 0.05, "iou"), "low"])  # a single prompt has no interval


def test_two_relations_of_one_pair_have_curves_of_their_own():
    edges = [Edge(1, 0, "amod"), Edge(1, 0, "ref"), Edge(0, 1, "back")]
    maps = make_maps(sentence=make_sentence(edges=edges))
    areas = sweep_auc(sweep(maps, values=VALUES, unrelated=False))
    assert areas["relation"].tolist() == ["amod", "ref", "back"]


def test_a_flat_pair_has_one_height_at_all_thresholds():
    maps = make_maps([box(0, 2, 0, 4)] * 8)
    assert sweep_auc(sweep(maps, measures="iou"))["iou"].tolist() == pytest.approx([1.0] * 7)


def test_errors_name_what_is_wrong(swept):
    with pytest.raises(ValueError, match="soft_iou needs no threshold"):
        sweep(make_maps(), measures=("iou", "soft_iou"))
    with pytest.raises(ValueError, match=r"at least two values .* got 1"):
        sweep(make_maps(), values=[0.4, 0.4])
    for rule in ("otsu", "relative:0.4"):
        with pytest.raises(ThresholdError, match=f"quantile, without its value, but got '{rule}'"):
            sweep(make_maps(), rule=rule)
    with pytest.raises(ValueError, match="lacks the columns rule, value"):
        sweep_curves(measure_pairs(make_maps()))
    with pytest.raises(ValueError, match="lacks the columns color"):
        sweep_curves(swept, by="color")
    with pytest.raises(ValueError, match="some are missing"):
        sweep_auc(swept.drop(index=3))
    mixed = pd.concat([swept, sweep(make_maps(), rule="minmax")])
    with pytest.raises(ValueError, match="relative, minmax"):
        sweep_curves(mixed)
    assert sweep_auc(sweep([])).empty
