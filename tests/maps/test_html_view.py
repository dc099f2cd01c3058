"""HTML view of heat maps in notebooks."""

import base64
import io
import re

import numpy as np
from PIL import Image

from daam_syntax.figures.shared.colors import color_map
from daam_syntax.maps.html_view import thumbnail_size
from helpers.examples import box, make_maps


def test_thumbnails_are_pngs_with_the_colors_of_figures(tmp_path):
    view = make_maps()[1]._repr_html_()
    path = tmp_path / "map.png"
    path.write_bytes(base64.b64decode(re.search(r"base64,([^\"]+)", view)[1]))
    shown = np.asarray(Image.open(path))
    none, most = np.round(color_map()([0.0, 1.0])[:, :3] * 255).astype(int)  # as in every figure
    inside = box(0, 2, 2, 6).astype(bool)
    np.testing.assert_array_equal(shown[~inside], np.broadcast_to(none, shown[~inside].shape))
    np.testing.assert_array_equal(shown[inside], np.broadcast_to(most, shown[inside].shape))


def test_thumbnails_stay_small_and_in_proportion():
    maps = make_maps(image_size=(1024, 1536))
    assert thumbnail_size((1024, 1536)) == (96, 144)
    assert thumbnail_size((40, 60)) == (40, 60)
    assert thumbnail_size((4, 3000)) == (1, 144)
    assert len(maps._repr_html_()) < 100_000


def test_each_map_is_shown_up_to_its_own_maximum():
    """A faint word does not look empty beside a strong one, and its maximum says how faint it is."""
    view = make_maps(
        [0.03 * box(0, 4, 0, 3), box(0, 2, 0, 4) * 0.03, box(0, 2, 2, 6)]
    )._repr_html_()
    shown = [base64.b64decode(each) for each in re.findall(r"base64,([^\"]+)", view)]
    darkest = [np.asarray(Image.open(io.BytesIO(png)))[..., 0].min() for png in shown]
    assert darkest[0] == darkest[1]
    assert re.findall(r"max ([\d.]+)<", view) == ["0.030", "1.0"]
    assert "its own maximum" in view
