import colorspacious
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from daam_syntax import figures
from helpers.figure_data import make_summary


def test_paper_sets_sizes_for_a_while_and_saved_text_stays_text(tmp_path):
    before = dict(plt.rcParams)
    with figures.paper():
        ax = figures.forest(make_summary())
    assert figures.save(ax, tmp_path / "forest.svg") == tmp_path / "forest.svg"
    figures.save(ax.figure, tmp_path / "forest.pdf")
    assert dict(plt.rcParams) == before
    assert ax.figure.get_figwidth() == pytest.approx(3.3)
    svg = (tmp_path / "forest.svg").read_text()
    assert "<text" in svg
    assert "nsubj (42)" in svg
    pdf = (tmp_path / "forest.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # a TrueType font, whole letters
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("kind", ["deuteranomaly", "protanomaly", "tritanomaly"])
def test_colors_differ_for_color_blind_readers(kind):
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
    palette = [to_rgb(c) for c in (*figures.PALETTE, figures.CONTROL)]
    seen = np.clip([colorspacious.cspace_convert(c, space, "sRGB1") for c in palette], 0, 1)
    for i, one in enumerate(seen):
        for other in seen[:i]:
            # In CAM02-UCS, a just noticeable difference is about 1 (Luo et al. 2006).
            assert colorspacious.deltaE(one, other, input_space="sRGB1") > 10
