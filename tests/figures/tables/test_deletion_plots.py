import numpy as np
import pandas as pd
import pytest

from daam_syntax import figures
from helpers.figure_data import line_of, make_curves


def test_curves_have_their_areas_and_references_are_gray():
    ax = figures.deletion_curves(make_curves(), change="|change| (0 to 1)")
    own, random = line_of(ax, "own mask (AUC 0.750)"), line_of(ax, "random (AUC 0.500)")
    assert own.get_xdata().tolist() == [0, 0.5, 1]
    assert random.get_color() == figures.CONTROL
    assert random.get_linestyle() == "--"
    assert ax.get_ylabel().startswith("|change| (0 to 1)")
    halves = make_curves().query("share >= 0.5")
    labels = [line.get_label() for line in figures.deletion_curves(halves).lines]
    assert labels == ["own mask (AUC 1.000)", "random (AUC 0.750)"]
    missing = make_curves().assign(mean=[np.nan] + [0.0] * 5)
    assert figures.deletion_curves(missing).lines[0].get_label() == "own mask (AUC –)"


def test_hollow_marks_and_staggered_bars_are_explained():
    curves = make_curves()
    assert figures.deletion_curves(curves.assign(low=0.0, high=1.0)).get_xlabel().count("\n") == 0
    curves = pd.concat([curves, curves.assign(curve="other " + curves["curve"])])
    label = figures.deletion_curves(curves.assign(low=np.nan, high=np.nan)).get_xlabel()
    assert label.endswith("bars are staggered across curves; hollow: no interval")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([1, 0, 0.5, 1, 0, 50], "from 0 to 1, but got 0 to 50"),
        ([1, 0, 0, 1, 0, 0.5], "one row per curve and share"),
        ([1, 0, 0.5, 0.8, 0, 0.5], "own mask: 0 to 1, random: 0 to 0.8"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        figures.deletion_curves(make_curves().assign(share=shares))
