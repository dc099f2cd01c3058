import numpy as np

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
