import numpy as np
import pytest

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs, summarize
from helpers.examples import make_maps
from helpers.figure_data import line_of, make_summary


def test_the_forest_has_a_row_per_relation_and_the_control_as_a_line():
    table = make_summary(p_adjusted=[np.nan, 0.001, 0.2])
    ax = figures.forest(table)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["nsubj (42)", "amod (41)"]
    assert line_of(ax, "unrelated pairs (40 prompts)").get_xdata() == [0.3, 0.3]
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([band.x0, band.x1], [0.25, 0.4])
    ends = [segment[:, 0].tolist() for lines in ax.collections for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[0.45, 0.6], [0.43, 0.58]])
    # amod differs from the control, nsubj does not
    filled = line_of(ax, "different from control (adjusted p < 0.05)")
    hollow = line_of(ax, "not found to differ")
    assert (filled.get_xdata()[0], filled.get_ydata()[0]) == (0.5, 1)
    assert (hollow.get_xdata()[0], hollow.get_ydata()[0]) == (0.48, 0)
    assert hollow.get_markerfacecolor() == "white"
    assert "attention overlap (IoU, 0 to 1)" in ax.get_xlabel()


def test_relations_without_mean_or_interval_keep_their_rows():
    table = make_summary(["amod", "det", "punct"])
    table.loc[2, ["low", "high"]] = np.nan
    table.loc[3, ["iou", "low", "high", "n_prompts"]] = [np.nan, np.nan, np.nan, 0]
    ax = figures.forest(table)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["punct (0)", "det (42)", "amod (41)"]
    assert line_of(ax, "no interval").get_ydata() == [1]
    (note,) = [t for t in ax.texts if t.get_text() == "not measured"]
    assert note.xy[1] == 0


def test_the_forest_of_a_summary_shows_its_level_and_its_measure():
    summary = summarize(measure_pairs(make_maps()), measure="soft_iou", level=0.9)
    ax = figures.forest(summary, show="mean")
    assert (
        ax.get_xlabel() == "attention overlap (soft IoU, 0 to 1)\nmean over prompts, 90% interval"
    )
    with pytest.raises(
        ValueError, match="intervals of iou, but got one with intervals of soft_iou"
    ):
        figures.forest(summary, measure="iou")


def test_one_control_is_a_line_and_others_are_named():
    table = make_summary(["amod", "amod"], kind=["unrelated", "dependency", "shifted"])
    names = [t.get_text() for t in figures.forest(table).get_yticklabels()]
    assert names == ["amod, shifted (42)", "amod (41)"]
    with pytest.raises(ValueError, match="at most one row of the control"):
        figures.forest(table.assign(kind="unrelated"))


def make_differences():
    table = make_summary(["amod", "det", "punct", "obj"])
    columns = {
        "difference": [np.nan, 0.2, -0.1, np.nan, 0.1],
        "p_adjusted": [np.nan, 0.01, 0.6, np.nan, np.nan],
        "corrected": [np.nan, 0.1, 0.05, np.nan, -0.1],
        "corrected_p_adjusted": [np.nan, 0.3, 0.03, np.nan, np.nan],
    }
    table = table.assign(n_paired=[0, 12, 20, 0, 9], **columns)
    for name in ("difference", "corrected"):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.05, table[name] + 0.05
    table.attrs = {"measure": "iou", "corrected": "phi", "control": "exchanged", "level": 0.95}
    return table


def test_differences_by_two_measures_around_zero():
    ax = figures.forest(make_differences())
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "punct (0)",
        "det (20)",
        "obj (9)",
        "amod (12)",
    ]
    marks = {
        (round(float(x), 3), round(float(y), 2)): (line.get_markerfacecolor(), line.get_alpha())
        for line in ax.lines
        if line.get_marker() in "os"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    blue, orange = "#0072B2", "#D55E00"
    assert marks[0.2, 3.17] == (blue, 1)  # amod differs by IoU,
    assert marks[0.1, 2.83] == ("white", 1)  # but not by phi
    assert marks[0.05, 0.83] == (orange, 1)
    assert marks[0.1, 2.17][1] < 1  # obj was not tested
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(labels) >= {"IoU", "phi", "not found to differ", "not tested"}
    (note,) = [text for text in ax.texts if text.get_text() == "not compared"]
    assert note.xy[1] == 0
    assert ax.get_xlabel().startswith("difference from exchanged pairs")
    assert figures.forest(make_differences(), show="mean").get_xlabel().startswith("attention")
    with pytest.raises(ValueError, match="difference"):
        figures.forest(make_summary(), show="difference")
    with pytest.raises(ValueError, match="show="):
        figures.forest(make_summary(), show="both")
