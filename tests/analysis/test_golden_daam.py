"""Overlaps equal those of the released daam 0.2.0, which ``benchmarks/golden_daam.py`` recorded."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from daam_syntax.analysis import measure_pairs
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps, Subword
from helpers.examples import make_sentence

GOLDEN = json.loads((Path(__file__).parent / "golden_daam.json").read_text(encoding="utf-8"))
SUMMED = np.array(GOLDEN["summed_maps"])
N = len(SUMMED)
# Words whose upscaled map undershoots: here it is clamped at 0, which changes the minimum.
CLAMPED = {word for word, least in enumerate(GOLDEN["least upscaled value"]) if least < 0}


@pytest.fixture(scope="module")
def maps():
    """The same maps as means over steps, for five words that edges join in both directions."""
    edges = [Edge(*pair, "dep") for pair in permutations(range(N), 2)]
    sentence = make_sentence("a b c d e", edges=edges)
    subwords = [Subword(i, t.text, t.start, t.end) for i, t in enumerate(sentence.tokens)]
    means = xr.DataArray(SUMMED / GOLDEN["steps"], dims=("token", "y", "x"))
    return HeatMaps(means, subwords, sentence, tuple(GOLDEN["image_size"]))


@pytest.mark.parametrize(
    ("golden", "options", "left_out"),
    [
        ("grid, absolute 0.15", {"threshold": "notebook", "size": "grid"}, set()),
        ("image, absolute 0.15", {"threshold": f"notebook:{GOLDEN['steps']}"}, set()),
        ("image, min-max 0.4", {"threshold": "minmax:0.4"}, CLAMPED),
    ],
)
def test_overlaps_are_those_of_the_released_package(maps, golden, options, left_out):
    table = measure_pairs(maps, **options).set_index(["head_index", "dependent_index"])
    compared = 0
    for expected in GOLDEN[golden]:
        pair = expected["head"], expected["dependent"]
        if left_out & set(pair):
            continue
        got = table.loc[pair]
        if got[["head_area", "dependent_area"]].min() == 0:
            # Undefined here, and 0 there, which would mean that the words do not overlap.
            assert [expected[m] for m in ("iou", "iod", "ioh")] == [0, 0, 0]
            assert got[["iou", "iod", "ioh"]].isna().all()
            continue
        for measure in ("iou", "iod", "ioh"):
            assert got[measure] == pytest.approx(expected[measure], abs=1e-6), (pair, measure)
        compared += 1
    assert compared == 12


def test_the_compared_maps_include_the_cases_that_differ(maps):
    assert {2} == CLAMPED
    areas = measure_pairs(maps, threshold="notebook")["head_area"]
    assert areas.min() == 0
    assert areas.max() == 1
