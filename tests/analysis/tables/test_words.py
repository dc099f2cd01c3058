"""The word table, on boxes whose values can be worked out by hand."""

import numpy as np
import pytest

from daam_syntax.analysis import WORD_COLUMNS, word_table
from daam_syntax.maps import BREADTH_MEASURES
from helpers.examples import box, make_maps


def test_the_word_table_has_a_row_per_token():
    table = word_table([make_maps(), make_maps()])
    assert list(table.columns) == list(WORD_COLUMNS)
    assert len(table) == 10
    zebra = table.iloc[4]
    assert (zebra["subwords"], zebra["n_subwords"]) == ("ze|bra</w>", 2)
    assert zebra["max"] == pytest.approx(0.6)
    assert zebra["mean"] == pytest.approx((4 * 0.6 + 4 * 0.2) / 24)
    assert zebra["area"] == pytest.approx(4 / 24)
    assert zebra["peak_y"] == pytest.approx(2.5 / 4)  # not swapped with x: the grid is 4 x 6
    assert zebra["peak_x"] == pytest.approx(0.5 / 6)
    car = table.iloc[1]
    assert car["peak_x"] == pytest.approx(2.5 / 6)


def test_words_without_a_map_are_rows_too():
    maps = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    table = word_table(maps)
    assert table["status"].tolist() == ["mapped", "mapped", "truncated", "truncated", "truncated"]
    assert table["mean"].notna().tolist() == [True, True, False, False, False]
    assert table["reason"].iloc[4] != ""


def test_means_and_peaks_are_of_the_recording_not_of_the_upscaled_map():
    table = word_table(make_maps([box(1, 2, 2, 3, value=0.5)] * 8, image_size=(40, 60)))
    assert table.loc[1, "max"] == 0.5
    assert table.loc[1, "mean"] == pytest.approx(0.5 / 24)
    assert table.loc[1, ["peak_y", "peak_x"]].tolist() == pytest.approx([1.5 / 4, 2.5 / 6])


def test_breadth_by_name():
    maps = make_maps(image_size=(40, 60))
    table = word_table(maps, breadth=BREADTH_MEASURES)
    assert [c for c in table.columns if c in BREADTH_MEASURES] == list(BREADTH_MEASURES)
    assert list(table.columns)[-2:] == ["threshold", "area"]
    assert table.loc[0, "effective_area"] == pytest.approx(8 / 24)  # of the recording
    assert table.loc[2, list(BREADTH_MEASURES)].isna().all()  # the comma's map is 0 everywhere
    with pytest.raises(ValueError, match=r"entropy, .* but got 'width'"):
        word_table(maps, breadth="width")
