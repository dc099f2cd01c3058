import numpy as np
import pytest
from examples import box
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daam_syntax.errors import ThresholdError
from daam_syntax.maps import measures, parse_threshold
from daam_syntax.maps.measures import mask_iou, soft_iou

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


def test_an_empty_mask_is_no_measurement():
    shared, head, dependent = both(A, EMPTY)
    for measure in (measures.iou, measures.iod, measures.ioh):
        assert np.isnan(measure(shared, head, dependent))
        assert np.isnan(measure(shared, dependent, head))
    assert np.isnan(measures.lift(shared, head, dependent, 24))
    assert np.isnan(measures.log_area_ratio(head, dependent))
    assert np.isnan(measures.log_area_ratio(dependent, head))


def test_soft_overlap_of_hand_made_maps():
    assert soft_iou(A, B) == pytest.approx(1 / 3)  # equal areas: the same as the IoU
    assert soft_iou(A, ~A) == 0
    assert soft_iou(A, 7.0 * A) == pytest.approx(1)
    assert np.isnan(soft_iou(A, EMPTY))
    assert soft_iou(np.stack([A, B]), A).tolist() == pytest.approx([1, 1 / 3])


def test_mask_iou_of_anybodys_masks():
    assert mask_iou(A, B) == pytest.approx(1 / 3)
    assert mask_iou(A, EMPTY) == 0
    assert np.isnan(mask_iou(EMPTY, EMPTY))
    np.testing.assert_allclose(mask_iou([A, A], [B, A]), [1 / 3, 1])
    with pytest.raises(ValueError, match=r"\(4, 6\) and \(6, 4\)"):
        mask_iou(A, A.T)


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


@given(masks)
def test_iod_over_ioh_is_the_area_ratio_where_masks_overlap(three):
    shared, head, dependent = both(three[0], three[1])
    if shared:
        ratio = measures.iod(shared, head, dependent) / measures.ioh(shared, head, dependent)
        assert np.log(ratio) == pytest.approx(measures.log_area_ratio(head, dependent))


@given(arrays(float, (2, 3, 5), elements=st.floats(0, 1)), st.randoms())
def test_soft_overlap_is_bounded_symmetric_and_blind_to_order(two, random):
    value = soft_iou(two[0], two[1])
    if np.isnan(value):
        assert two.sum(axis=(1, 2)).min() == 0
        return
    assert -1e-9 <= value <= 1 + 1e-9
    assert value == pytest.approx(float(soft_iou(two[1], two[0])))
    order = list(range(15))
    random.shuffle(order)
    shuffled = two.reshape(2, 15)[:, order].reshape(2, 3, 5)
    assert value == pytest.approx(float(soft_iou(*shuffled)))


def test_threshold_rules():
    maps = np.stack([box(0, 1, 0, 6, value=0.5), box(0, 2, 0, 6, value=0.1)])
    maps[:, 0, 0] = 1.0
    assert parse_threshold("relative:0.4").apply(maps).sum(axis=(1, 2)).tolist() == [6, 1]
    assert parse_threshold("absolute:0.05").apply(maps).sum(axis=(1, 2)).tolist() == [6, 12]
    relative = parse_threshold("relative:0.4")
    np.testing.assert_array_equal(relative.apply(maps), relative.apply(maps * 0.01))
    assert not parse_threshold("relative:0").apply(np.zeros((4, 6))).any()
    # exactly at the cut is not above it
    assert not parse_threshold("absolute:0.5").apply(np.full((2, 3), 0.5)).any()


def test_threshold_text_round_trips():
    for text in ("relative:0.4", "absolute:0.15"):
        assert str(parse_threshold(text)) == text
    assert parse_threshold(parse_threshold("relative:0.3")).value == 0.3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("median:0.4", "relative:0.4, absolute:0.15, but got 'median'"),
        ("relative", "such as relative:0.4"),
        ("relative:half", "but got 'relative:half'"),
        ("relative:1", "from 0 to below 1"),
        ("absolute:-0.1", "got -0.1"),
        ("relative:nan", "got nan"),
    ],
)
def test_threshold_errors_say_what_is_possible(rule, message):
    with pytest.raises(ThresholdError, match=message):
        parse_threshold(rule)


def test_close_thresholds_have_texts_of_their_own():
    texts = ("relative:0.3333333333", "relative:0.33333331", "absolute:0.00001", "relative:0")
    assert [str(parse_threshold(text)) for text in texts] == list(texts)


def test_no_masks_have_no_intersections():
    assert measures.intersections(np.zeros((0, 4, 6), bool)).shape == (0, 0)
