"""The table of estimates that a report shows, on the page, in LaTeX, and in the figure."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.analysis.export import to_latex
from daam_syntax.studies import Finding
from daam_syntax.studies.framework.displayed_estimates import estimates_view
from daam_syntax.studies.framework.findings import estimates_table
from daam_syntax.studies.framework.plots import draw_findings

ROWS = pd.DataFrame({"prompt_id": list("abcdef"), "image": range(6), "x": [1, 2, 3, 4, 5, 6]})


@pytest.fixture
def findings():
    mean = estimate_mean(ROWS, "x", label="mean")
    change = estimate_difference(ROWS, ROWS.assign(x=0), "x", label="change")
    nothing = Estimate("nothing", "x", np.nan, reason="all are alike")
    unit = "pixels_100 % & more"
    return [
        Finding("first", unit, (mean, change)),
        Finding("note", "", notes=("A note.",)),
        Finding("second", unit, (nothing,)),
    ]


def test_the_view_has_titles_estimates_and_footnotes(findings):
    table = estimates_table(findings)
    view, footnotes = estimates_view(findings, table)
    assert list(view.columns) == ["mean or difference", "estimate", "95% interval", "p (Holm)", "n"]
    assert view["mean or difference"].tolist() == [
        "first (a)",
        "\N{EM SPACE}mean (b)",
        "\N{EM SPACE}change (c)",
        "second (a)",
        "\N{EM SPACE}nothing (d)",
    ]
    assert view["estimate"].tolist() == ["", "3.500", "3.500", "", "-"]
    assert view["p (Holm)"].tolist() == ["", "-", "0.031", "", "-"]
    assert view["n"].tolist() == ["", "6", "6", "", "0"]
    assert footnotes == [
        "(a): pixels_100 % & more",
        f"(b): {table['method'][0]}",
        f"(c): {table['method'][1]}",
        "(d): all are alike",
    ]


def test_the_view_as_latex_is_as_wide_as_a_column(findings):
    view, footnotes = estimates_view(findings, estimates_table(findings))
    text = to_latex(view, notes=footnotes)
    assert r"\begin{tabular}{lrrrr}" in text
    assert r"{}\quad{}change (c) & 3.500 & " in text
    assert r"& $-$0.100 to $-$0.001 &" in to_latex(
        pd.DataFrame({"x": ["a"], "i": ["-0.100 to -0.001"], "y": ["1"]})
    )
    assert r"(a): pixels\_100 \% \& more" in text
    assert max(len(line) for line in text.splitlines() if line.endswith(r"\\")) < 80


def test_no_findings_are_an_empty_view():
    view, footnotes = estimates_view([], estimates_table([]))
    assert (len(view), footnotes) == (0, [])


def test_means_and_differences_have_scales_of_their_own(findings):
    means, differences, last = draw_findings(findings).axes
    assert [ax.get_title("left") for ax in (means, differences, last)] == ["first", "", "second"]
    assert differences.get_xlabel() == "difference"
    with_zero = [
        any(line.get_linestyle() == "--" for line in ax.get_lines()) for ax in (means, differences)
    ]
    assert with_zero == [False, True]


def test_two_measures_of_one_difference_stay_together():
    def pair(label, **fields):
        return tuple(Estimate(label, name, 0.1, n_prompts=9, **fields) for name in ("iou", "phi"))

    tested = pair("change", p=0.2, least_p=0.001)
    finding = Finding("title", "unit", (*pair("mean"), *tested), side_by_side=True)
    labels = [
        [label.get_text() for label in ax.get_yticklabels()] for ax in draw_findings([finding]).axes
    ]
    assert labels == [
        ["mean, IoU\N{NO-BREAK SPACE}(9)", "mean, phi\N{NO-BREAK SPACE}(9)"],
        ["change, IoU\N{NO-BREAK SPACE}(9)", "change, phi\N{NO-BREAK SPACE}(9)"],
    ]
