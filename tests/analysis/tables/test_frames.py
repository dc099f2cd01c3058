"""Overlap in the frames of videos, against tables of the frames as images."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from daam_syntax.analysis import FRAME_COLUMNS, PAIR_COLUMNS, measure_frames, measure_pairs
from daam_syntax.maps import HeatMaps
from helpers.examples import make_maps
from helpers.video_data import make_video

OPTIONS = {"measures": ["iou", "phi", "soft_iou", "pearson", "offset_x"], "size": (8, 12)}


def test_each_frame_is_measured_like_an_image():
    videos = [make_video(), make_video(image_size=(8, 12))]
    table = measure_frames(videos, **OPTIONS)
    for number, video in enumerate(videos):
        for k, maps in enumerate(video.frames):
            rows = table[(table["image"] == number) & (table["frame"] == k)]
            assert (rows["first_drawn"] == video.drawn[k][0]).all()
            assert (rows["last_drawn"] == video.drawn[k][-1]).all()
            rows = rows.drop(columns=list(FRAME_COLUMNS)).assign(image=0)
            expected = measure_pairs(maps, **OPTIONS)
            pd.testing.assert_frame_equal(rows.reset_index(drop=True), expected)


def test_columns():
    after = list(PAIR_COLUMNS).index("image") + 1
    expected = [*PAIR_COLUMNS]
    expected[after:after] = FRAME_COLUMNS
    assert list(measure_frames(make_video()).columns) == expected
    assert list(measure_frames(make_video(), together=True).columns) == expected


@pytest.mark.parametrize("rule", ["relative:0.4", "absolute:0.5", "otsu"])
def test_frames_together_are_one_tall_image(rule):
    video = make_video()
    options = {"measures": ["iou", "phi", "soft_iou", "pearson"], "threshold": rule}
    table = measure_frames(video, together=True, size="grid", **options)
    assert table["frame"].isna().all()
    below = np.concatenate([each.mean for each in video.frames], axis=-2)  # frames below each other
    tall = HeatMaps(
        xr.DataArray(below, dims=("token", "y", "x")),
        video.frames[0].subwords,
        video.sentence,
        (12, 6),
    )
    expected = measure_pairs(tall, **options)
    pd.testing.assert_frame_equal(table.drop(columns=list(FRAME_COLUMNS)), expected)


def test_masks_of_frames_together_are_relative_to_the_strongest_frame():
    """By hand: at 0.7 of the maximum of any frame, only the third frame, three times as strong, is in a mask."""
    options = {"threshold": "relative:0.7", "measures": ["head_area", "iou"], "size": "grid"}
    apart = measure_frames(make_video(), **options)
    joint = measure_frames(make_video(), together=True, **options)
    first = (joint["head_index"] == 1) & (joint["dependent_index"] == 0)
    assert joint.loc[first, "head_area"].item() == pytest.approx(8 / 72)
    assert joint.loc[first, "iou"].item() == pytest.approx(4 / 12)
    rows = apart[(apart["head_index"] == 1) & (apart["dependent_index"] == 0)]
    assert list(rows["head_area"]) == pytest.approx([8 / 24] * 3)


def test_frames_together_are_upscaled_one_by_one():
    video = make_video()
    measures = ["soft_iou", "pearson"]
    table = measure_frames(video, together=True, measures=measures, size=(8, 12))
    below = np.concatenate([each["car"].resize((8, 12)) for each in video.frames])
    other = np.concatenate([each[0].resize((8, 12)) for each in video.frames])
    row = table[(table["head_index"] == 1) & (table["dependent_index"] == 0)]
    by_hand = np.corrcoef(below.ravel(), other.ravel())[0, 1]
    assert row["pearson"].item() == pytest.approx(by_hand, abs=1e-5)


def test_places_are_not_measured_together():
    with pytest.raises(ValueError, match=r"where pixels lie.*'centroid_distance', 'offset_x'"):
        measure_frames(make_video(), together=True, measures=["centroid_distance", "offset_x"])


def test_images_are_not_videos():
    with pytest.raises(TypeError, match=r"VideoMaps.*but got HeatMaps.*measure_pairs"):
        measure_frames(make_maps())
    with pytest.raises(TypeError, match="but got HeatMaps"):
        measure_frames([make_video(), make_maps()])
