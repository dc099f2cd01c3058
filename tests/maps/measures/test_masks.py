import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import distance

from daam_syntax.maps import measures
from daam_syntax.maps.measures import PackedMasks
from helpers.examples import box

# Two boxes of 8 pixels on a 4 x 6 grid that share 4: union 12.
A, B = box(0, 2, 0, 4) > 0, box(0, 2, 2, 6) > 0
EMPTY = np.zeros((4, 6), bool)


def both(a, b):
    shared = measures.intersections(np.stack([a, b]))
    return shared[0, 1], shared[0, 0], shared[1, 1]


def test_half_overlapping_squares():
    shared, head, dependent = both(A, B)
    assert (shared, head, dependent) == (4, 8, 8)
    assert measures.iou(shared, head, dependent) == pytest.approx(1 / 3)
    assert measures.iod(shared, head, dependent) == 0.5
    assert measures.ioh(shared, head, dependent) == 0.5
    assert measures.lift(shared, head, dependent, 24) == pytest.approx(24 * 4 / 64)
    assert measures.log_area_ratio(head, dependent) == 0


def test_a_part_within_a_whole():
    part = box(0, 1, 0, 4) > 0  # 4 of A's 8 pixels
    shared, head, dependent = both(A, part)
    assert measures.iou(shared, head, dependent) == 0.5
    assert measures.iod(shared, head, dependent) == 1
    assert measures.ioh(shared, head, dependent) == 0.5
    assert measures.log_area_ratio(head, dependent) == pytest.approx(np.log(2))


def test_disjoint_and_identical():
    assert measures.iou(*both(A, ~A)) == 0
    assert measures.lift(*both(A, ~A), 24) == 0
    assert measures.iou(*both(A, A)) == 1
    assert measures.lift(*both(A, A), 24) == 3


def test_measures_of_an_empty_mask_are_undefined():
    shared, head, dependent = both(A, EMPTY)
    for measure in (measures.iou, measures.iod, measures.ioh):
        assert np.isnan(measure(shared, head, dependent))
        assert np.isnan(measure(shared, dependent, head))
    assert np.isnan(measures.dice(shared, head, dependent))
    assert np.isnan(measures.lift(shared, head, dependent, 24))
    assert np.isnan(measures.phi(shared, head, dependent, 24))
    assert np.isnan(measures.log_area_ratio(head, dependent))
    assert np.isnan(measures.log_area_ratio(dependent, head))


masks = arrays(bool, (3, 4, 6))


@given(masks)
def test_against_a_brute_force_loop(three):
    shared = measures.intersections(three)
    areas = np.diag(shared)
    iou = measures.iou(shared, areas[:, None], areas[None])
    lift = measures.lift(shared, areas[:, None], areas[None], 24)
    for i in range(3):
        for j in range(3):
            a = {p for p in np.ndindex(4, 6) if three[i][p]}
            b = {p for p in np.ndindex(4, 6) if three[j][p]}
            if a and b:
                assert iou[i, j] == pytest.approx(len(a & b) / len(a | b))
                assert lift[i, j] == pytest.approx(24 * len(a & b) / len(a) / len(b))
            else:
                assert np.isnan(iou[i, j])
                assert np.isnan(lift[i, j])


def test_log_lift_is_the_mutual_information_of_a_pixel():
    assert measures.log_lift(4, 8, 8, 24) == pytest.approx(np.log2(1.5))
    assert measures.log_lift(6, 12, 12, 24) == 0  # as expected from the areas
    assert measures.log_lift([1, 0, 0], [1, 3, 0], [8, 8, 8], 24).tolist() == pytest.approx(
        [np.log2(3), np.nan, np.nan], nan_ok=True
    )


def test_the_largest_phi_of_nested_masks():
    a, b = 6 / 24, 18 / 24
    assert measures.phi(6, 6, 18, 24) == pytest.approx(np.sqrt(a * (1 - b) / (b * (1 - a))))
    assert measures.phi(6, 6, 6, 24) == 1
    assert measures.phi(0, 12, 12, 24) == -1


@given(masks)
def test_phi_and_dice_against_numpy_and_scipy(three):
    a, b = three[0].ravel(), three[1].ravel()
    shared, head, dependent = both(*three[:2])
    if a.any() and b.any():
        assert measures.dice(shared, head, dependent) == pytest.approx(1 - distance.dice(a, b))
    phi = measures.phi(shared, head, dependent, 24)
    if 0 < a.sum() < 24 and 0 < b.sum() < 24:
        assert phi == pytest.approx(np.corrcoef(a, b)[0, 1])
    else:
        assert np.isnan(phi)


@given(arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 30))))
def test_packed_masks_have_the_counts_of_unpacked_masks(masks):
    packed = PackedMasks(masks)
    assert packed.areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    first, second = np.indices((len(masks), len(masks))).reshape(2, -1)
    expected = [(masks[i] & masks[j]).sum() for i, j in zip(first, second, strict=True)]
    assert packed.shared(first, second).tolist() == expected


def test_more_pairs_than_are_counted_at_once():
    masks = np.random.default_rng(0).random((3, 600, 700)) < 0.3
    first, second = np.array([0, 1, 2] * 20), np.array([2, 2, 1] * 20)
    shared = PackedMasks(masks).shared(first, second)
    assert shared.tolist() == [
        (masks[i] & masks[j]).sum() for i, j in zip(first, second, strict=True)
    ]


@given(masks)
def test_iod_over_ioh_is_the_area_ratio_where_masks_overlap(three):
    shared, head, dependent = both(three[0], three[1])
    if shared:
        ratio = measures.iod(shared, head, dependent) / measures.ioh(shared, head, dependent)
        assert np.log(ratio) == pytest.approx(measures.log_area_ratio(head, dependent))


def test_no_masks_have_no_intersections():
    assert measures.intersections(np.zeros((0, 4, 6), bool)).shape == (0, 0)
