"""Images measured in batches, with masks in one precision."""

import pandas as pd
import pytest

from daam_syntax.analysis import measure_pairs, word_table
from helpers.examples import box, make_maps


def test_all_masks_agree_where_a_map_equals_the_cut():
    # 0.4 in 32 bits is above 0.4 in 64 bits, so masks must be made in one precision everywhere.
    tied = box(0, 1, 0, 2)
    tied[0, 1] = 0.4
    maps = make_maps([tied] * 8)
    area = maps["car"].mask().mean()
    assert area == pytest.approx(1 / 24)
    assert measure_pairs(maps).loc[0, "head_area"] == area
    assert word_table(maps).loc[1, "area"] == area


def test_batches_do_not_change_the_measures_of_an_image(monkeypatch):
    images = [make_maps(image_size=size) for size in [(9, 14), (9, 14), (14, 9), (9, 14), (9, 14)]]
    options = {"threshold": ["paper", "otsu"], "unrelated": True}
    together = measure_pairs(images, **options)
    monkeypatch.setattr("daam_syntax.analysis.tables.image_batches._PIXELS_AT_ONCE", 1)
    alone = measure_pairs(images, **options)
    pd.testing.assert_frame_equal(together, alone)
    assert together.groupby("image").size().tolist() == [14] * 5
    assert together["threshold"].iloc[:14].tolist() == ["relative:0.4"] * 7 + ["otsu"] * 7
    pd.testing.assert_frame_equal(
        together[together["image"] == 2].drop(columns="image").reset_index(drop=True),
        measure_pairs(images[2], **options).drop(columns="image"),
    )
