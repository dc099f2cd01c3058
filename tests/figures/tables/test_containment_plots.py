import numpy as np
import pandas as pd

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs
from helpers.examples import make_maps


def test_pairs_lie_at_their_ioh_and_iod_on_the_line_of_their_area_ratio():
    pairs = measure_pairs(make_maps())
    ax = figures.containment(pairs)
    control, related = ax.collections
    rows = pairs[pairs["kind"] == "dependency"]
    np.testing.assert_allclose(related.get_offsets(), rows[["ioh", "iod"]])
    assert related.get_label() == "head and dependent (3 pairs, 1 not measured)"  # the comma
    assert control.get_label() == "unrelated (3 pairs)"
    slopes = sorted(line.get_ydata()[1] / line.get_xdata()[1] for line in ax.lines)
    np.testing.assert_allclose(slopes, [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
    assert "1 prompt" in ax.get_xlabel()


def test_many_pairs_are_drawn_as_counts_per_cell():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((3600, 2)), columns=["iod", "ioh"])
    table = table.assign(kind=["unrelated"] * 3200 + ["dependency"] * 400, prompt_id="p")
    table.loc[3200:, ["iod", "ioh"]] = 0.5, 1.0
    ax = figures.containment(table)
    cells, disks = ax.collections
    assert cells.get_array().sum() == 3200
    assert cells.get_array().shape == (20, 20)
    np.testing.assert_allclose(disks.get_offsets(), [[0.975, 0.525]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["unrelated (3200 pairs)", "head and dependent (400 pairs)"]
    assert "darker gray, larger disks: more pairs in the cell" in ax.get_xlabel()
    few = figures.containment(table.iloc[:3210])
    assert "disks: one pair each" in few.get_xlabel()
