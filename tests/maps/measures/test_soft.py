"""Measures of two maps without a threshold, against independent references and by hand."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats
from scipy.spatial import distance

from daam_syntax.maps import measures
from daam_syntax.maps.measures import PAIR_MEASURES, measure_maps, soft_iou
from helpers.examples import box

A, B = box(0, 2, 0, 4), box(0, 2, 2, 6)  # 8 pixels each, 4 shared
SOFT = [m for m in PAIR_MEASURES.values() if m.kind == "soft"]
RANDOM = np.random.default_rng(0).random((5, 7, 9)) ** 3
HEAD, DEPENDENT = RANDOM[0], RANDOM[1]


def unit(m):
    return m.ravel() / m.sum()


def layer_cake(first, second, base=None):
    """Sum the areas of masks at very many relative thresholds, without minima and maxima of maps."""
    cuts = (np.arange(20_000) + 0.5)[:, None] / 20_000
    a, b = (m.ravel() / m.max() > cuts for m in (first, second))
    whole = a | b if base is None else base.ravel() / base.max() > cuts
    return (a & b).sum() / whole.sum()


def center(m):
    return np.divide(ndimage.center_of_mass(m), m.shape)


def cells(shape):
    return np.argwhere(np.ones(shape)) / np.hypot(*shape)


PAIR_REFERENCES = {
    "soft_iou": lambda h, d: layer_cake(h, d),
    "soft_iod": lambda h, d: layer_cake(h, d, base=d),
    "soft_ioh": lambda h, d: layer_cake(h, d, base=h),
    "cosine": lambda h, d: 1 - distance.cosine(h.ravel(), d.ravel()),
    "pearson": lambda h, d: stats.pearsonr(h.ravel(), d.ravel())[0],
    "spearman": lambda h, d: stats.spearmanr(h.ravel(), d.ravel())[0],
    "jensen_shannon": lambda h, d: distance.jensenshannon(h.ravel(), d.ravel(), base=2) ** 2,
    "bhattacharyya": lambda h, d: sum(
        (x * y) ** 0.5 for x, y in zip(unit(h), unit(d), strict=True)
    ),
    "centroid_distance": lambda h, d: (
        np.linalg.norm(np.subtract(ndimage.center_of_mass(h), ndimage.center_of_mass(d)))
        / np.hypot(*h.shape)
    ),
    "offset_x": lambda h, d: center(d)[1] - center(h)[1],
    "offset_y": lambda h, d: center(d)[0] - center(h)[0],
    "earth_movers": lambda h, d: stats.wasserstein_distance_nd(
        cells(h.shape), cells(d.shape), h.ravel(), d.ravel()
    ),
}


@pytest.mark.parametrize("name", [m.name for m in SOFT])
def test_soft_measures_against_independent_references(name):
    function, reference = PAIR_MEASURES[name].function, PAIR_REFERENCES[name]
    ties = np.round(RANDOM * 4)
    for h, d in [(HEAD, DEPENDENT), (A, B), (ties[2], ties[3]), (RANDOM[4], RANDOM[4] ** 2)]:
        assert function(h, d) == pytest.approx(
            reference(h, d), abs=2e-4 if "soft_io" in name else 1e-7
        )
    # Stacks broadcast.
    np.testing.assert_allclose(
        function(RANDOM, HEAD), [function(m, HEAD) for m in RANDOM], atol=1e-12
    )
    np.testing.assert_allclose(
        function(HEAD, RANDOM[None]), [[function(HEAD, m) for m in RANDOM]], atol=1e-12
    )


def test_soft_overlap_of_hand_made_maps():
    assert soft_iou(A, B) == pytest.approx(1 / 3)  # equal areas: the same as the IoU
    assert soft_iou(A, 1 - A) == 0
    assert soft_iou(A, 7.0 * A) == pytest.approx(1)
    assert soft_iou(np.stack([A, B]), A).tolist() == pytest.approx([1, 1 / 3])
    part = box(0, 1, 0, 4, value=0.3)  # half of A, regardless of its strength
    assert soft_iou(A, part) == pytest.approx(0.5)
    faint = A + box(2, 4, 0, 4, value=0.25)  # two more rows at a quarter of the peak: 8 + 2
    assert soft_iou(A, faint) == pytest.approx(8 / 10)
    assert measures.soft_iod(A, part) == pytest.approx(1)
    assert measures.soft_ioh(A, part) == pytest.approx(0.5)
    # Mass must travel two columns.
    assert measures.centroid_distance(A, B) == pytest.approx(2 / np.hypot(4, 6))
    assert measures.earth_movers(A, B) == pytest.approx(2 / np.hypot(4, 6))


@given(arrays(float, (2, 3, 4), elements=st.integers(0, 20).map(lambda n: n / 20)))
def test_soft_overlaps_have_the_identity_of_masks(two):
    iou, iod, ioh = (float(f(*two)) for f in (soft_iou, measures.soft_iod, measures.soft_ioh))
    if two.sum(axis=(1, 2)).min() == 0:
        assert np.isnan([iou, iod, ioh]).all()
    elif iou == 0:
        assert iod == ioh == 0
    else:
        assert 1 / iou == pytest.approx(1 / iod + 1 / ioh - 1)
        assert iou <= min(iod, ioh) + 1e-12
    # Maps of zeros and ones are masks.
    a, b = two > 0.5
    if a.any() and b.any():
        assert soft_iou(a, b) == pytest.approx((a & b).sum() / (a | b).sum())


def test_offsets_point_from_the_head_to_the_dependent():
    left, right, below = box(0, 2, 0, 2), box(0, 2, 3, 5), box(2, 4, 0, 2)
    assert measures.offset_x(left, right) == pytest.approx(3 / 6)  # widths of the image
    assert measures.offset_x(right, left) == pytest.approx(-3 / 6)
    assert measures.offset_y(left, right) == 0
    assert measures.offset_y(left, below) == pytest.approx(2 / 4)  # heights, from the top
    assert measures.offset_x(left, below) == 0
    # The same image on a finer grid.
    finer = [np.kron(m, np.ones((3, 3))) for m in (left, right)]
    assert measures.offset_x(*finer) == pytest.approx(3 / 6)
    assert np.isnan(measures.offset_x(left, 0 * right))


def test_many_pairs_have_the_values_of_single_pairs():
    words = np.random.default_rng(3).random((6, 40, 50)).astype(np.float32)
    words[4] = 0
    head, dependent = np.indices((6, 6)).reshape(2, -1)
    chosen = [m for m in SOFT if m.name != "earth_movers"]
    found = measure_maps(words, np.tile(head, 20), np.tile(dependent, 20), chosen)
    for measure in chosen:
        expected = [
            float(measure.function(words[i], words[j]))
            for i, j in zip(head, dependent, strict=True)
        ]
        np.testing.assert_allclose(found[measure.name], expected * 20, atol=1e-12)
    none = np.zeros(0, int)
    assert measure_maps(words, none, none, chosen)["cosine"].shape == (0,)


def blob(shape, rng):
    y, x = np.indices(shape)
    (center_y, center_x), width = rng.uniform(0, 1, 2) * shape, rng.uniform(0.05, 0.3) * min(shape)
    return np.exp(-((y - center_y) ** 2 + (x - center_x) ** 2) / (2 * width**2))


@pytest.mark.parametrize("shape", [(40, 100), (24, 24), (17, 33), (96, 64), (3, 300), (300, 1)])
def test_mass_travels_at_least_as_far_as_its_center(shape):
    rng = np.random.default_rng(5)
    height, width = shape
    for _ in range(4):
        first, second = blob(shape, rng), blob(shape, rng) + 0.01 * rng.random(shape)
        travelled = measures.earth_movers(first, second)
        assert travelled >= measures.centroid_distance(first, second) - 1e-12
        assert measures.earth_movers(second, first) == pytest.approx(float(travelled))
        assert measures.earth_movers(first, 3 * first) == pytest.approx(0, abs=1e-9)
    # A box that moves as a whole travels the way of its center, on any grid.
    wide = np.zeros(shape)
    wide[: max(1, height // 3), : max(1, width // 3)] = 1.0
    moved = np.roll(wide, (height // 5, width // 4), axis=(0, 1))
    way = np.hypot(height // 5, width // 4) / np.hypot(*shape)
    assert measures.centroid_distance(wide, moved) == pytest.approx(way)
    assert measures.earth_movers(wide, moved) == pytest.approx(way, abs=0.01)


def test_earth_movers_of_a_large_grid_is_near_the_exact_distance():
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(6)
    places = cells((20, 34))
    cost = distance.cdist(places, places)
    for _ in range(3):
        first, second = blob((20, 34), rng), blob((20, 34), rng)
        exact = ot.emd2(unit(first), unit(second), cost, numItermax=10**6)
        assert measures.earth_movers(first, second) == pytest.approx(exact, abs=0.003)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"daam-syntax\[transport\]"):
        measures.earth_movers(A, B)
