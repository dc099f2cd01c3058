"""One heat map: masks, resizing, and read-only values."""

import numpy as np
import pytest

from daam_syntax.maps import HeatMap
from helpers.examples import box, make_maps


def test_masks_and_resizing_of_one_map():
    map_ = make_maps(image_size=(8, 12))["car"]
    assert map_.mask().shape == (8, 12)
    np.testing.assert_array_equal(map_.mask(size=(4, 6)), box(0, 2, 2, 6) > 0)
    np.testing.assert_array_equal(np.asarray(map_), map_.values)


def test_a_map_is_read_only_but_the_callers_array_is_not():
    values = np.ones((4, 6), np.float32)
    map_ = HeatMap(values, "cat", (0,), (4, 6))
    with pytest.raises(ValueError, match="read-only"):
        map_.values[0] = 0
    values[0] = 0
