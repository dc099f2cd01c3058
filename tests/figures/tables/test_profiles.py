import numpy as np
import pandas as pd
import pytest

from daam_syntax import figures
from helpers.figure_data import RELATIONS, line_of, make_profile, make_sweep


def test_a_sweep_is_drawn_in_order_with_gaps_and_bands():
    ax = figures.threshold_sweep(make_sweep())
    line = line_of(ax, "amod")
    np.testing.assert_allclose(line.get_xdata(), [0.2, 0.4, 0.6])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.3, np.nan])
    assert len(ax.collections) == 3  # two relations and the control
    assert line_of(ax, "unrelated").get_linestyle() == "--"
    assert "mean\nbars, band: interval" in ax.get_ylabel()
    assert "relative threshold" in ax.get_xlabel()


def test_another_control_keeps_its_name():
    curves = make_sweep().replace({"relation": {"unrelated": "shifted"}})
    ax = figures.threshold_sweep(curves, control="shifted")
    assert line_of(ax, "shifted").get_linestyle() == "--"


def test_many_lines_differ_in_color_or_dashes():
    ax = figures.threshold_sweep(make_sweep(RELATIONS))
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 21
    assert len(ax.get_legend().get_texts()) == 21


def test_each_relation_has_its_intervals_at_other_thresholds_and_says_its_sample():
    values = np.arange(0.1, 0.9, 0.1)
    rows = [
        {"threshold": f"relative:{value:.1f}", "relation": name, "mean": 0.5 - 0.1 * number}
        for number, name in enumerate(("amod", "det", "conj"))
        for value in values
    ]
    table = pd.DataFrame(rows).assign(measure="iou", n_prompts=10)
    table = table.assign(low=table["mean"] - 0.1, high=table["mean"] + 0.1)
    table.attrs["level"] = 0.9
    ax = figures.threshold_sweep(table)
    places = [{round(float(s[0, 0]), 1) for s in bars.get_segments()} for bars in ax.collections]
    assert set.union(*places) == set(values.round(1).tolist())
    assert sum(map(len, places)) == len(values)
    for line, own in zip(ax.lines, places, strict=True):
        assert {round(float(line.get_xdata()[k]), 1) for k in line.get_markevery()} == own
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "amod (10)",
        "det (10)",
        "conj (10)",
    ]
    assert "mean (n prompts)\nbars: 90% interval" in ax.get_ylabel()
    assert ax.get_xlabel().endswith("bars are staggered across relations")
    assert "bars" not in figures.threshold_sweep(table[table["relation"] == "det"]).get_xlabel()


def test_a_mean_without_an_interval_is_hollow():
    profile = make_profile().assign(head=lambda t: t["step"])
    ax = figures.overlap_profile(profile, along="head")
    assert "hollow" not in ax.get_ylabel()
    first = profile.index[profile["relation"] == "amod"][0]
    profile.loc[first, ["low", "high"]] = np.nan
    ax = figures.overlap_profile(profile, along="head")
    assert ax.get_ylabel().endswith("(hollow: none)")
    (hollow,) = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert hollow.get_ydata() == pytest.approx([profile.loc[first, "mean"]])


def test_no_line_joins_attention_heads():
    profile = make_profile().assign(head=lambda t: t["step"])
    ax = figures.overlap_profile(profile, along="head")
    one, other = line_of(ax, "amod"), line_of(ax, "nsubj")
    assert one.get_linestyle() == "None"
    assert (one.get_xdata() < other.get_xdata()).all()
    assert np.isnan(line_of(ax, "unrelated").get_xdata()).sum() == 3  # a step for each head
    assert len(ax.patches) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "iod"}, "one of its measures .iod., but got 'iou'"),
        ({"threshold": ["relative:0.2", "absolute:0.2"] * 2 + ["relative:0.6"] * 5}, "of one rule"),
        ({"threshold": "relative:0.2"}, "one row per relation"),
    ],
)
def test_sweeps_that_cannot_be_lines_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        figures.threshold_sweep(make_sweep().assign(**change))


def test_steps_are_drawn_to_scale_and_layers_in_order():
    by_step = figures.overlap_profile(make_profile(), along="step")
    assert line_of(by_step, "amod").get_xdata().tolist() == [2, 5, 9]
    by_layer = figures.overlap_profile(make_profile(), along="layer")
    names = [t.get_text() for t in by_layer.get_xticklabels()]
    assert names == ["up_blocks.1", "down_blocks.0", "mid"]
    np.testing.assert_allclose(line_of(by_layer, "amod").get_ydata(), [0.3, 0.5, np.nan])
    assert by_layer.get_xlabel() == "layer\nbars are staggered across relations"
