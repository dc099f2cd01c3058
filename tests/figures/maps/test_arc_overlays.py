import numpy as np
import pytest

from daam_syntax import figures
from helpers.examples import box, make_maps
from helpers.figure_data import IMAGE, long_maps, texts


def test_maps_stand_below_their_words_on_one_scale():
    maps = make_maps(image_size=(40, 60))
    ax = figures.arcs_with_overlays(IMAGE, maps, scale="shared")
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


def test_maps_are_shown_up_to_their_own_maximum_unless_one_scale_is_chosen():
    maps = make_maps(
        [top * box(0, 2, 0, 4) for top in (0.03, 0.2, 1, 0.4, 0.1, 0.6)], image_size=(40, 60)
    )
    ax = figures.arcs_with_overlays(IMAGE, maps)
    tops = [float(maps[i].resize().max()) for i in range(len(maps))]
    assert [cell.images[-1].norm.vmax for cell in ax.child_axes] == pytest.approx(tops)
    assert [texts(cell)[0] for cell in ax.child_axes] == [f"max {top:#.2g}" for top in tops]
    labels = [each.get_ylabel().replace("\n", " ") for each in ax.figure.axes]
    assert "mean attention probability, each map to its own maximum" in labels
    with pytest.raises(ValueError, match='scale="own" without a vmax'):
        figures.arcs_with_overlays(IMAGE, maps, vmax=0.1)


def test_words_without_a_map_have_their_status_below_the_arcs():
    ax = figures.arcs_with_overlays(IMAGE, long_maps())
    assert texts(*ax.child_axes).count("truncated") == 28
