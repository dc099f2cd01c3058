"""Shifted maps, worked out by hand on boxes."""

import numpy as np
import pandas as pd

from daam_syntax.analysis import MEASURES, PAIR_COLUMNS, measure_pairs, shifted_pairs
from helpers.examples import box, make_maps


def dependencies(table):
    return table[table["kind"] == "dependency"].reset_index(drop=True)


def test_shifts_keep_areas_and_change_positions():
    maps = [make_maps(provenance={"seed": s}) for s in (0, 1)]
    original = dependencies(measure_pairs(maps, size="grid"))
    table = shifted_pairs(maps, n=3, size="grid")
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert len(table) == 3 * len(original) == 24
    assert set(table["kind"]) == {"shifted"}
    for i in range(3):
        part = table.iloc[8 * i : 8 * i + 8]
        same = [c for c in PAIR_COLUMNS if c not in (*MEASURES, "kind", "reason")]
        pd.testing.assert_frame_equal(
            part[same].reset_index(drop=True), original[same], check_dtype=False
        )
        for area in ("head_area", "dependent_area"):
            np.testing.assert_allclose(part[area], original[area])
        # The cut of the zebra's map is at 0.4 of its maximum, regardless of its position.
        assert part["reason"].tolist() == original["reason"].tolist()
    assert table["iou"].nunique() > 2


def test_shifted_overlaps_are_those_of_a_shift_around_the_torus():
    head, dependent = box(0, 2, 2, 6) > 0, box(0, 2, 0, 4) > 0
    shifts = [
        np.roll(dependent, (y, x), (0, 1)) for y in range(4) for x in range(6) if (y, x) != (0, 0)
    ]
    possible = {round(float((head & s).sum() / (head | s).sum()), 6) for s in shifts}
    table = shifted_pairs(make_maps(), n=30, size="grid")
    red_car = table[(table["head_index"] == 1) & (table["dependent_index"] == 0)]
    assert set(red_car["iou"].round(6)) <= possible
    assert red_car["iou"].nunique() > 3
