"""Measures of maps against masks, against definitions spelled out pixel by pixel, and by hand on boxes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daam_syntax.maps import measures, parse_threshold
from daam_syntax.maps.measures import MASK_MEASURES, mask_iou
from helpers.examples import box

A, B = box(0, 2, 0, 4) > 0, box(0, 2, 2, 6) > 0
EMPTY, FULL = np.zeros((4, 6), bool), np.ones((4, 6), bool)
OF_MAPS = [measure for name, measure in MASK_MEASURES.items() if name != "mask_iou"]
NAMES = [measure.name for measure in OF_MAPS]


def test_mask_iou_of_masks_from_any_source():
    assert mask_iou(A, B) == pytest.approx(1 / 3)
    assert mask_iou(A, EMPTY) == 0
    assert np.isnan(mask_iou(EMPTY, EMPTY))
    np.testing.assert_allclose(mask_iou([A, A], [B, A]), [1 / 3, 1])
    with pytest.raises(ValueError, match=r"\(4, 6\) and \(6, 4\)"):
        mask_iou(A, A.T)
    with pytest.raises(ValueError, match=r"values from 0 to 0\.3; make a mask"):
        mask_iou(0.3 * A, B)  # a map, each of whose nonzero pixels would count
    assert mask_iou(1.0 * A, B) == pytest.approx(1 / 3)


def overlap(map_, mask, cut):
    above = map_ > cut
    return (above & mask).sum() / (above | mask).sum()


def relative_overlaps(map_, mask):
    """Each interval of relative thresholds with one mask, from the strongest pixels: low, high, IoU."""
    values = np.unique(np.append(map_, 0.0))[::-1]
    return [
        (low / map_.max(), high / map_.max(), overlap(map_, mask, low))
        for high, low in pairwise(values)
    ]


def auroc(map_, mask):
    inside, outside = map_[mask], map_[~mask]
    wins = [(x > y) + 0.5 * (x == y) for x in inside for y in outside]
    return np.mean(wins) if wins else np.nan


def average_precision(map_, mask):
    total = recall = 0.0
    for value in np.unique(map_)[::-1]:
        chosen = map_ >= value
        now = mask[chosen].sum() / mask.sum()
        total += (now - recall) * mask[chosen].mean()
        recall = now
    return total


def best(map_, mask):
    """The interval with the largest IoU; the first, so the highest thresholds, if several are equal."""
    return max(relative_overlaps(map_, mask), key=lambda found: round(found[2], 12))


REFERENCES = {
    "pointing_game": lambda h, m: m[h == h.max()].mean(),
    "auroc": auroc,
    "average_precision": average_precision,
    "threshold_miou": lambda h, m: sum((hi - lo) * iou for lo, hi, iou in relative_overlaps(h, m)),
    "best_iou": lambda h, m: best(h, m)[2],
    "best_threshold": lambda h, m: sum(best(h, m)[:2]) / 2,
}

tied = arrays(float, (4, 5), elements=st.integers(0, 4).map(lambda n: n / 4))


@pytest.mark.parametrize("name", NAMES)
@given(tied, arrays(bool, (4, 5)))
@settings(max_examples=60, deadline=None)
def test_measures_against_their_definitions(name, map_, mask):
    measure = MASK_MEASURES[name]
    value = measure.function(map_, mask)
    full = "covers everything" in measure.undefined and mask.all()
    if not map_.any() or not mask.any() or full:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(REFERENCES[name](map_, mask), abs=1e-12)
        assert measure.low <= value <= measure.high


def test_the_mean_over_thresholds_is_that_of_the_threshold_rule():
    rng = np.random.default_rng(0)
    map_, mask = rng.random((7, 9)) ** 2, rng.random((7, 9)) < 0.4
    cuts = (np.arange(2000) + 0.5) / 2000
    found = [mask_iou(parse_threshold(f"relative:{cut}").apply(map_), mask) for cut in cuts]
    assert measures.threshold_miou(map_, mask) == pytest.approx(np.mean(found), abs=1e-3)
    assert measures.best_iou(map_, mask) == pytest.approx(np.max(found))
    rule = parse_threshold(f"relative:{float(measures.best_threshold(map_, mask))}")
    assert mask_iou(rule.apply(map_), mask) == pytest.approx(measures.best_iou(map_, mask))


def test_a_map_by_hand():
    # Half of the mask is strongest, the rest of it and as many pixels outside are at half of that.
    map_ = 0.8 * box(0, 2, 0, 2) + 0.4 * box(0, 2, 2, 6)
    assert measures.pointing_game(map_, A) == 1
    # Of the 16 pixels outside, 4 tie with the weaker half of the 8 in the mask.
    assert measures.auroc(map_, A) == pytest.approx(1 - 0.5 * 4 * 4 / (8 * 16))
    assert measures.average_precision(map_, A) == pytest.approx(0.5 * 1 + 0.5 * 8 / 12)
    assert measures.threshold_miou(map_, A) == pytest.approx((0.5 + 8 / 12) / 2)
    assert measures.best_iou(map_, A) == pytest.approx(8 / 12)
    assert measures.best_threshold(map_, A) == pytest.approx(0.25)


def test_perfect_flat_and_misplaced_maps():
    scores = {
        how: [float(measure.function(map_, A)) for measure in OF_MAPS]
        for how, map_ in {"perfect": A, "flat": FULL, "misplaced": ~A}.items()
    }
    assert NAMES == [
        "pointing_game",
        "auroc",
        "average_precision",
        "threshold_miou",
        "best_iou",
        "best_threshold",
    ]
    area = 8 / 24
    assert scores["perfect"] == pytest.approx([1, 1, 1, 1, 1, 0.5])
    assert scores["flat"] == pytest.approx([area, 0.5, area, area, area, 0.5])
    assert scores["misplaced"] == pytest.approx([0, 0, area, 0, 0, 0.5])


def test_a_mask_that_is_empty_or_covers_everything():
    map_ = np.random.default_rng(1).random((4, 6))
    for measure in OF_MAPS:
        assert np.isnan(measure.function(map_, EMPTY)), measure.name
        assert np.isnan(measure.function(0 * map_, A)), measure.name
    assert np.isnan(measures.auroc(map_, FULL))
    assert measures.average_precision(map_, FULL) == 1
    assert measures.pointing_game(map_, FULL) == 1
    assert measures.best_iou(map_, FULL) == 1
    # At threshold t, a share of the pixels of the full mask is above t: the mean is that of the values.
    assert measures.threshold_miou(map_, FULL) == pytest.approx((map_ / map_.max()).mean())


@pytest.mark.parametrize("measure", OF_MAPS, ids=lambda m: m.name)
def test_many_words_are_compared_with_one_mask_or_with_one_each(measure):
    rng = np.random.default_rng(2)
    words, masks = rng.random((3, 7, 9)), rng.random((3, 7, 9)) < 0.3
    words[1] = 0
    one = measure.function(words, masks[0])
    np.testing.assert_allclose(one, [float(measure.function(w, masks[0])) for w in words])
    each = measure.function(words.astype(np.float32), masks)
    expected = [float(measure.function(w, m)) for w, m in zip(words, masks, strict=True)]
    np.testing.assert_allclose(each, expected, atol=1e-6)
    assert measure.function(words[:, None], masks).shape == (3, 3)
    assert measure.function(words[:0], masks[0]).shape == (0,)


@pytest.mark.parametrize("measure", OF_MAPS, ids=lambda m: m.name)
def test_measures_against_masks_are_invariant_exactly_as_declared(measure):
    rng = np.random.default_rng(3)
    map_, mask = rng.random((7, 9)), rng.random((7, 9)) < 0.9
    map_ = np.where(map_ < 0.6, 0.0, map_)  # a shift lets pixels of 0 into masks
    value = measure.function(map_, mask)
    order = rng.permutation(63)
    changed = {
        "scale": (0.3 * map_, mask),
        "shift": (map_ + 0.5, mask),
        "pixels": [m.ravel()[order].reshape(7, 9) for m in (map_, mask)],
    }
    found = {
        how for how, of in changed.items() if measure.function(*of) == pytest.approx(float(value))
    }
    assert found == measure.invariant


@pytest.mark.parametrize("measure", OF_MAPS, ids=lambda m: m.name)
def test_areas_alone_move_a_measure_exactly_as_declared(measure):
    """The mean over all places of the mask, for a narrow and a broad one."""
    map_ = np.random.default_rng(4).random((4, 6)) ** 2
    means = []
    for mask in (box(0, 1, 0, 2) > 0, A, box(0, 3, 0, 5) > 0):
        places = np.stack([np.roll(mask, (y, x), (0, 1)) for y in range(4) for x in range(6)])
        means.append(measure.function(map_, places).mean())
    assert measure.area_free == (np.ptp(means) < 1e-9)
    if measure.area_free:
        np.testing.assert_allclose(means, measure.chance)


def test_wrong_maps_and_masks_are_named():
    with pytest.raises(ValueError, match=r"but got \(4, 6\) and \(6, 4\)"):
        measures.auroc(1.0 * A, A.T)
    with pytest.raises(ValueError, match="`maps` of best_iou, but got values from"):
        measures.best_iou(A - 0.5, A)
    with pytest.raises(ValueError, match=r"values from 0 to 0\.3; make a mask"):
        measures.average_precision(1.0 * A, 0.3 * A)
