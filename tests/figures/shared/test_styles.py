import colorspacious
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from daam_syntax import figures
from daam_syntax.errors import FileError
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


def test_files_that_cannot_be_written_and_sizes_that_cannot_be_drawn(tmp_path):
    ax = figures.forest(make_summary())
    for path in (tmp_path / "none" / "a.png", tmp_path / f"{'a' * 300}.png"):
        with pytest.raises(FileError, match="Could not read or write"):
            figures.save(ax, path)
    with pytest.raises(ValueError, match="Expected a number from 10 to 10,000 as dpi of save"):
        figures.save(ax, tmp_path / "a.png", dpi=1.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["deuteranomaly", "protanomaly", "tritanomaly"])
def test_colors_differ_for_color_blind_readers(kind):
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
    palette = [to_rgb(c) for c in (*figures.PALETTE, figures.CONTROL)]
    seen = np.clip([colorspacious.cspace_convert(c, space, "sRGB1") for c in palette], 0, 1)
    for i, one in enumerate(seen):
        for other in seen[:i]:
            # In CAM02-UCS, a just noticeable difference is about 1 (Luo et al. 2006).
            assert colorspacious.deltaE(one, other, input_space="sRGB1") > 10
