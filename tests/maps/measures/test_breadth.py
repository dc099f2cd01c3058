"""Measures of the breadth of one map, against independent references and by hand."""

import numpy as np
import pytest
from scipy import ndimage, stats

from daam_syntax.maps import measures
from daam_syntax.maps.measures import BREADTH_MEASURES
from helpers.examples import box

A, B = box(0, 2, 0, 4), box(0, 2, 2, 6)  # 8 pixels each, 4 shared
RANDOM = np.random.default_rng(0).random((5, 7, 9)) ** 3


def moran_by_loop(m):
    z = m - m.mean()
    pairs = [
        (p, q)
        for p in np.ndindex(m.shape)
        for q in np.ndindex(m.shape)
        if abs(p[0] - q[0]) + abs(p[1] - q[1]) == 1
    ]
    return m.size / len(pairs) * sum(z[p] * z[q] for p, q in pairs) / (z**2).sum()


def area_90_by_loop(m):
    held, n = 0.0, 0
    for value in sorted(m.ravel(), reverse=True):
        held, n = held + value, n + 1
        if held >= (0.9 - 1e-9) * m.sum():
            return n / m.size
    raise AssertionError


def spread_by_loop(m):
    center = np.array(ndimage.center_of_mass(m))
    total = sum(m[p] * ((np.array(p) - center) ** 2).sum() for p in np.ndindex(m.shape))
    return (total / m.sum()) ** 0.5 / np.hypot(*m.shape)


BREADTH_REFERENCES = {
    "entropy": lambda m: stats.entropy(m.ravel(), base=m.size),
    "effective_area": lambda m: np.exp(stats.entropy(m.ravel())) / m.size,
    # Half of the mean difference between pixels, relative to the mean.
    "gini": lambda m: np.abs(m.ravel()[:, None] - m.ravel()).mean() / m.mean() / 2,
    "area_90": area_90_by_loop,
    "spread": spread_by_loop,
    "moran": moran_by_loop,
}


@pytest.mark.parametrize("name", BREADTH_MEASURES)
def test_breadth_against_independent_references(name):
    function, reference = BREADTH_MEASURES[name].function, BREADTH_REFERENCES[name]
    expected = [reference(m) for m in RANDOM]
    np.testing.assert_allclose(function(RANDOM), expected)
    np.testing.assert_allclose(function(RANDOM[None].astype(np.float32)), [expected], rtol=1e-5)
    assert function(A) == pytest.approx(reference(A.astype(float)))


def test_breadth_of_hand_made_maps():
    flat, point = np.full((4, 6), 0.2), box(1, 2, 3, 4)
    assert measures.entropy(flat) == pytest.approx(1)
    assert measures.entropy(point) == 0
    assert measures.effective_area(A) == pytest.approx(8 / 24)
    assert measures.effective_area(point) == pytest.approx(1 / 24)
    assert measures.gini(flat) == pytest.approx(0)
    assert measures.gini(point) == pytest.approx(23 / 24)
    assert measures.area_90(np.ones((2, 5))) == pytest.approx(0.9)
    assert measures.spread(point) == 0
    corners = box(0, 1, 0, 1) + box(3, 4, 5, 6)
    assert measures.spread(corners) == pytest.approx(np.hypot(1.5, 2.5) / np.hypot(4, 6))
    checkerboard = np.indices((4, 6)).sum(axis=0) % 2
    assert measures.moran(checkerboard) == pytest.approx(-1)
    # Entropy does not depend on the positions of pixels; the spread does.
    assert measures.entropy(corners) == pytest.approx(float(measures.entropy(box(0, 1, 0, 2))))
    assert measures.spread(corners) > 3 * measures.spread(box(0, 1, 0, 2))
