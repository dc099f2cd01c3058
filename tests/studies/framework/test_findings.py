"""Findings as sentences, as a table, and as a figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.studies import Finding
from daam_syntax.studies.framework.findings import estimates_table, sentences
from daam_syntax.studies.framework.plots import draw_findings

ROWS = pd.DataFrame({"prompt_id": list("abcdef"), "image": range(6), "x": [1, 2, 3, 4, 5, 6]})


def reported(estimate, **options):
    finding = Finding("title", "unit", (estimate,), **options)
    return sentences(finding, estimates_table([finding]))


def test_findings_report_effect_interval_and_n():
    (sentence,) = reported(estimate_mean(ROWS, "x", label="mean x"), digits=1)
    assert sentence.startswith("Mean x: 3.5 (95% interval ")
    assert sentence.endswith("; n = 6 prompts, 6 images).")
    assert "3 prompts, and an interval needs" in reported(estimate_mean(ROWS[:3], "x"))[0]
    (sentence,) = reported(Estimate("nothing", "x", float("nan"), reason="all are alike"))
    assert sentence == "Nothing: undefined, all are alike (n = 0 prompts, 0 images)."
    assert reported(Estimate("below", "x", -0.0004), notes=("A note.",))[1] == "A note."
    assert reported(Estimate("below", "x", -0.0004))[0].startswith("Below: 0.000 (")
    assert reported(Estimate("below", "x", -0.4))[0].startswith("Below: \N{MINUS SIGN}0.400 (")


def test_p_values_are_adjusted_over_all_findings():
    found = estimate_difference(ROWS, ROWS.assign(x=0), "x")
    assert found.p == pytest.approx(2 / 2**6)
    findings = [Finding(title, "unit", (found,)) for title in ("one", "other")]
    table = estimates_table([*findings, Finding("third", "unit", (estimate_mean(ROWS, "x"),))])
    np.testing.assert_allclose(table["p_adjusted"], [2 * found.p] * 2 + [np.nan])
    assert (
        "Holm-adjusted p = 0.062; alone p = 0.031, the least that 6 prompts can give, not a finding"
        in sentences(findings[0], table)[0]
    )
    assert estimates_table([]).empty


def test_every_finding_with_estimates_has_a_panel():
    undefined = Estimate("undefined", "x", float("nan"))
    findings = [
        Finding("first", "slots", (estimate_mean(ROWS, "x"), undefined)),
        Finding("no estimates", "", notes=("Only a note.",)),
        Finding("second", "shares", (estimate_difference(ROWS, ROWS.assign(x=7), "x"),)),
    ]
    first, second = draw_findings(findings).axes
    assert (first.get_title("left"), second.get_title("left")) == ("first", "second")
    assert [text.get_text() for text in first.texts] == ["undefined"]
    assert [label.get_text() for label in second.get_yticklabels()] == [
        "difference\N{NO-BREAK SPACE}(6)"
    ]


def difference(estimate=0.1, p=0.01, least_p=0.001, **fields):
    return Estimate(
        "d", "x", estimate, low=0.0, high=0.2, p=p, least_p=least_p, n_prompts=9, **fields
    )


def test_tests_that_cannot_succeed_do_not_count():
    few = [difference(p=0.5, least_p=0.5) for _ in range(9)]
    table = estimates_table([Finding("all", "x", (difference(), *few))])
    assert table["p_adjusted"][0] == pytest.approx(0.01)
    assert "p cannot be below 0.5 in 9 prompts" in sentences(Finding("all", "x"), table)[1]


def test_a_difference_that_was_not_tested_says_why():
    untested = difference(p=np.nan, untested="the sides differ in distance")
    assert "; not tested: the sides differ in distance; n = 9 prompts" in reported(untested)[0]
    assert "Holm" not in reported(untested)[0]


def test_equivalence_is_claimed_only_from_its_own_test():
    for p_equivalent, claimed in ((0.01, True), (0.2, False), (np.nan, False)):
        (sentence,) = reported(difference(p=0.9, p_equivalent=p_equivalent), margin=0.05)
        assert ("equivalent within ±0.05" in sentence) is claimed
        assert "no difference" not in sentence


@pytest.mark.parametrize(
    ("first", "second", "warning"),
    [
        ((-0.3, 0.001), (0.1, 0.5), "IoU and phi differ in sign, so the areas"),
        ((0.3, 0.001), (0.1, 0.5), "found by IoU only, which the areas"),
        ((0.3, 0.5), (0.1, 0.001), "found by phi only; IoU"),
        ((0.3, 0.001), (0.1, 0.001), "IoU 0.300"),
        ((-0.3, 0.5), (0.1, 0.5), "IoU \N{MINUS SIGN}0.300"),
    ],
)
def test_two_measures_side_by_side_say_first_where_they_disagree(first, second, warning):
    pair = [
        Estimate("amod", name, value, p=p, least_p=0.001, n_prompts=9)
        for name, (value, p) in (("iou", first), ("phi", second))
    ]
    finding = Finding("title", "unit", tuple(pair), side_by_side=True)
    (sentence,) = sentences(finding, estimates_table([finding]))
    assert sentence.startswith(f"amod: {warning}")
    assert sentence.endswith("; n = 9 prompts.")
    labels = [label.get_text() for label in draw_findings([finding]).axes[0].get_yticklabels()]
    assert labels == [f"amod, {name}\N{NO-BREAK SPACE}(9)" for name in ("IoU", "phi")]


def test_an_end_that_excludes_0_does_not_look_like_0():
    estimate = Estimate("d", "x", 0.02, low=0.0003, high=0.05, p=0.01, least_p=0.001)
    assert "interval 0.0003 to 0.0500;" in reported(estimate)[0]
    assert "interval 0.000 to 0.050;" in reported(replace(estimate, p=0.2))[0]


def test_the_number_of_prompts_stays_in_the_last_line_of_a_label():
    label = "coordinating conjunctions, word minus equal mass"  # 48 characters, of 50 that fit
    finding = Finding("title", "unit", (Estimate(label, "x", 0.1, n_prompts=4),))
    (shown,) = draw_findings([finding]).axes[0].get_yticklabels()
    assert shown.get_text().splitlines()[-1] == "mass\N{NO-BREAK SPACE}(4)"


def test_one_prompt_is_counted_in_the_singular():
    alone = reported(difference(p=1.0, least_p=1.0, n_clusters=1))[0]
    assert "p cannot be below 1 in 1 prompt;" in alone


@pytest.mark.parametrize(
    ("label", "start"),
    [("per edge", "Per edge: "), ("obj (relation plus place)", "obj (relation plus place): ")],
)
def test_sentences_of_two_measures_begin_with_a_capital_except_names_of_relations(label, start):
    pair = tuple(Estimate(label, name, 0.1, n_prompts=9) for name in ("iou", "phi"))
    finding = Finding("title", "unit", pair, side_by_side=True)
    assert sentences(finding, estimates_table([finding]))[0].startswith(start)
