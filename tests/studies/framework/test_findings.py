"""Findings as sentences, as a table, and as a figure."""

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
    assert sentence.startswith("Mean x: 3.5 (95 % interval ")
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
    assert "Holm-adjusted p = 0.062;" in sentences(findings[0], table)[0]
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
    assert [label.get_text() for label in second.get_yticklabels()] == ["difference (6)"]
