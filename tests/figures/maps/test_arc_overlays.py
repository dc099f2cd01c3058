import numpy as np
import pytest

from daam_syntax import figures
from helpers.examples import make_maps
from helpers.figure_data import IMAGE, long_maps, texts


def test_maps_stand_below_their_words_on_one_scale():
    maps = make_maps(image_size=(40, 60))
    ax = figures.arcs_with_overlays(IMAGE, maps)
    ax.figure.draw_without_rendering()
    words = {t.get_text(): t.get_window_extent() for t in ax.texts}
    cells = ax.child_axes
    assert len(cells) == 5
    zebra, box = cells[4].get_window_extent(), words["zebra"]
    assert (zebra.x0 + zebra.x1) / 2 == pytest.approx((box.x0 + box.x1) / 2, abs=2)
    assert zebra.y1 < box.y0
    top = max(float(maps[i].resize().max()) for i in range(5))
    assert {cell.images[-1].norm.vmax for cell in cells} == {top}
    np.testing.assert_allclose(cells[4].images[-1].get_array(), maps["zebra"].resize())


def test_words_without_a_map_have_their_status_below_the_arcs():
    ax = figures.arcs_with_overlays(IMAGE, long_maps())
    assert texts(*ax.child_axes).count("truncated") == 28
