"""Summaries: intervals, differences from the control, and corrected p-values."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    MEASURES,
    SUMMARY_COLUMNS,
    adjust_p,
    estimate_difference,
    estimate_mean,
)
from daam_syntax.analysis import summarize as summarize_against
from helpers.simulated import pair_table, phrase_pairs, random_pairs, sides


def summarize(pairs, *arguments, control="unrelated", **options):
    """Summarize against unrelated pairs; the tables of these tests have no words to exchange."""
    return summarize_against(pairs, *arguments, control=control, **options)


@pytest.fixture
def pairs():
    """Three relations, two of them without an effect, and their control."""
    rng = np.random.default_rng(2)
    table = random_pairs(rng, n_prompts=10, effect=0.1)
    amod, control = sides(table)
    others = [
        amod.assign(relation=name, iou=rng.permutation(control["iou"]))
        for name in ("nsubj", "nmod:of")
    ]
    table = pd.concat([table, *others], ignore_index=True)
    lost = table.index[table["relation"] == "nsubj"][:7]  # more than the six pairs of one prompt
    table.loc[lost, "iou"] = np.nan
    return table


def test_a_summary_holds_the_estimates_of_its_groups(pairs):
    summary = summarize(pairs, accept="all").set_index("relation")
    control = pairs[pairs["kind"] == "unrelated"]
    for relation in ("amod", "nsubj", "nmod:of"):
        rows, found = pairs[pairs["relation"] == relation], summary.loc[relation]
        mean = estimate_mean(rows)
        difference = estimate_difference(rows, control, accept="all")
        assert found[["iou", "low", "high"]].tolist() == pytest.approx(
            [mean.estimate, mean.low, mean.high]
        )
        assert found[["difference", "difference_low", "difference_high", "p"]].tolist() == [
            difference.estimate,
            difference.low,
            difference.high,
            difference.p,
        ]
        assert found["effect_size"] == difference.effect_size
        assert found["n_paired"] == difference.n_prompts
    assert summary.loc["nsubj", ["n_prompts", "n_paired", "n_pairs", "n_missing"]].tolist() == [
        9,
        9,
        53,
        7,
    ]
    assert summary["note"].eq("").all()


def test_intervals_keep_to_the_range_of_their_measure():
    near = pair_table({f"p{i}": [[v]] for i, v in enumerate([0.9, 1, 0.5, 0.8, 1, 0.7])})
    assert estimate_mean(near, bounds=(-np.inf, np.inf)).high > 1
    assert estimate_mean(near).high == 1
    (row,) = summarize(near).to_dict("records")
    assert row["high"] == 1


def test_invalid_arguments_are_named(pairs):
    with pytest.raises(TypeError, match="pandas DataFrame, but got list"):
        summarize([pairs])
    with pytest.raises(ValueError, match=r"such as 0\.95, but got 95"):
        summarize(pairs, level=95)
    with pytest.raises(TypeError, match=r"name of one measure, but got \['iou', 'lift'\]"):
        summarize(pairs, measure=["iou", "lift"])


def test_the_control_has_an_interval_and_no_test(pairs):
    summary = summarize(pairs)
    control = summary.iloc[0]
    assert control["relation"] == "unrelated"
    assert control["low"] < control["iou"] < control["high"]
    assert control[["difference", "p", "p_adjusted", "n_paired"]].isna().all()
    assert set(SUMMARY_COLUMNS) <= set(summary.columns)


@pytest.mark.parametrize("correction", ["holm", "bh", "none"])
def test_p_values_are_corrected_within_a_threshold(pairs, correction):
    other = pairs.assign(threshold="absolute:0.15")
    summary = summarize(pd.concat([pairs, other]), correction=correction)
    for _, rows in summary.groupby("threshold"):
        expected = adjust_p(rows["p"], correction, least=rows["least_p"])
        np.testing.assert_allclose(rows["p_adjusted"], expected)
    assert summary.attrs["correction"] == correction


def test_the_measure_level_and_clusters_can_be_chosen(pairs):
    pairs["soft_iou"] = pairs["iou"] / 2
    pairs.loc[pairs["relation"] == "amod", "iou"] = np.nan
    row = summarize(pairs, measure="soft_iou", level=0.8).set_index("relation").loc["amod"]
    rows = pairs[pairs["relation"] == "amod"]
    mean = estimate_mean(rows, "soft_iou", level=0.8)
    assert row[["low", "high", "n_missing"]].tolist() == [mean.low, mean.high, 0]
    crossed = ("prompt_id", "head_lemma")
    two_way = summarize(pairs, measure="soft_iou", cluster=crossed).set_index("relation")
    assert two_way.loc["amod", "low"] == estimate_mean(rows, "soft_iou", cluster=crossed).low


def test_controls_agree_in_every_group_but_the_relation(pairs):
    pairs["seed"] = pairs["image"] % 2
    summary = summarize(pairs, by=["relation", "seed"]).set_index(["relation", "seed"])
    for seed in (0, 1):
        amod, control = sides(pairs[pairs["seed"] == seed])
        expected = estimate_difference(amod, control)
        assert summary.loc[("amod", seed), "difference"] == expected.estimate
    unknown = summarize(pairs.assign(seed=pd.NA), by=["relation", "seed"])
    np.testing.assert_allclose(unknown["p"], summarize(pairs)["p"])


def test_controls_that_name_relations_are_compared_relation_by_relation(pairs):
    matched = pairs[pairs["kind"] == "dependency"].assign(kind="matched")
    matched["iou"] -= 0.05
    summary = summarize(pd.concat([pairs, matched]), control="matched")
    chosen = summary[summary["kind"] == "dependency"]
    np.testing.assert_allclose(chosen["difference"], 0.05)
    assert chosen["note"].str.contains("all prompts have the same value").all()
    assert (summary["kind"].iloc[:3] == "matched").all()


def test_one_prompt_has_means_without_intervals_and_says_why():
    tables = [
        pair_table({"a": [[0.2, 0.4]]}),
        pair_table({"a": [[0.1]]}, kind="unrelated", relation="unrelated"),
    ]
    summary = summarize(pd.concat(tables))
    amod = summary.iloc[1]
    assert amod[["iou", "difference"]].tolist() == pytest.approx([0.3, 0.2])
    assert amod[["low", "high", "difference_low"]].isna().all()
    assert amod["p"] == 1  # flipping one sign gives two equal totals
    reason = "1 prompt, and an interval needs at least 5"
    assert summary.loc[0, "note"] == reason
    flips = "difference: 1 prompt, and an interval from sign flips needs at least 6"
    assert summary.loc[1, "note"] == f"{reason}; {flips}"


def test_a_measure_without_its_mirror_image_has_no_difference_and_a_note():
    pairs = phrase_pairs(n_prompts=6).assign(iod=0.5)
    summary = summarize(pairs, measure="iod", control="exchanged")
    assert summary["note"].str.contains("exchanged partners need ioh, too").all()


def test_without_a_control_there_is_no_difference_and_a_note(pairs):
    amod, control = sides(pairs)
    assert summarize(amod)["note"].tolist() == ["no control to compare with"]
    lost = control.assign(iou=np.nan)
    summary = summarize(pd.concat([amod, lost]))
    assert summary.loc[1, "note"] == "no control to compare with"
    apart = control.assign(prompt_id="elsewhere")
    note = summarize(pd.concat([amod, apart])).loc[1, "note"]
    assert note == "difference: no prompt has both sides"


def test_means_of_measures_are_plain_averages_over_prompts(pairs):
    pairs["lift"] = pairs["iou"] * 3
    summary = summarize(pairs)
    assert [m for m in MEASURES if m in summary] == [m for m in MEASURES if m in pairs]
    np.testing.assert_allclose(summary["lift"], 3 * summary["iou"])
