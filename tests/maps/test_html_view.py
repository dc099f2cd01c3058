"""HTML view of heat maps in notebooks."""

import base64
import re

import numpy as np
from PIL import Image

from daam_syntax.maps.html_view import thumbnail_size
from helpers.examples import box, make_maps


def test_thumbnails_are_pngs_with_the_right_shades(tmp_path):
    view = make_maps()[1]._repr_html_()
    path = tmp_path / "map.png"
    path.write_bytes(base64.b64decode(re.search(r"base64,([^\"]+)", view)[1]))
    shades = np.asarray(Image.open(path))
    np.testing.assert_array_equal(shades, 255 - 255 * box(0, 2, 2, 6).astype(int))


def test_thumbnails_stay_small_and_in_proportion():
    maps = make_maps(image_size=(1024, 1536))
    assert thumbnail_size((1024, 1536)) == (96, 144)
    assert thumbnail_size((40, 60)) == (40, 60)
    assert thumbnail_size((4, 3000)) == (1, 144)
    assert len(maps._repr_html_()) < 100_000
