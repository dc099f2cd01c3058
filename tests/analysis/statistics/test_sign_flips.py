"""Tests and intervals by sign flips, against enumeration, scipy and repeated tests."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from daam_syntax.analysis.statistics.sign_flips import (
    MIN_FLIPPED,
    least_p,
    sign_flip_interval,
    sign_flip_p,
)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_sign_flips_enumerate_all_patterns(rng, n):
    values = rng.normal(0.4, 1, n)
    totals = [abs(np.dot(s, values)) for s in product((1, -1), repeat=n)]
    expected = np.mean([t >= abs(values.sum()) - 1e-12 for t in totals])
    assert sign_flip_p(values) == pytest.approx(expected)
    assert sign_flip_p(values) >= 2 / 2**n


def test_sign_flips_by_hand():
    # only +++ and --- reach 1 + 2 + 3 = 6; four patterns reach at least 3 + 2 - 1 = 4
    assert sign_flip_p([1, 2, 3]) == pytest.approx(2 / 8)
    assert sign_flip_p([3, 2, -1]) == pytest.approx(4 / 8)
    assert sign_flip_p([0, 0, 0]) == 1


def test_sign_flips_are_those_of_scipy(rng):
    first, second = rng.normal(0.3, 1, (2, 9))
    expected = stats.permutation_test(
        (first, second),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(first - second) == pytest.approx(expected.pvalue)


def test_drawn_sign_flips_are_near_the_exact_ones(rng):
    values = rng.normal(0.4, 1, (4, 12))
    exact = sign_flip_p(values)
    drawn = sign_flip_p(values, n_resamples=4000)
    np.testing.assert_allclose(drawn, exact, atol=0.03)
    assert (sign_flip_p(np.full(40, 1.0), n_resamples=999)) == 1 / 1000  # never 0


def test_one_sided_sign_flips(rng):
    values = rng.normal(0.4, 1, 8)
    totals = [np.dot(s, values) for s in product((1, -1), repeat=8)]
    expected = np.mean([t >= values.sum() - 1e-12 for t in totals])
    assert sign_flip_p(values, alternative="greater") == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 5, 6, 8, 14, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_hold_the_values_that_are_not_rejected(rng, n, weighted):
    """Just inside each end the test does not reject, just outside it does."""
    for _ in range(20):
        sums = rng.normal(0.6, 1, n) * (rng.random(n) > 0.3)
        counts = rng.integers(1, 4, n) if weighted else np.ones(n)
        low, high = sign_flip_interval(sums, counts, n_resamples=1999)
        assert low <= sums.sum() / counts.sum() <= high
        for end, inside in ((low, 1e-6), (high, -1e-6)):
            if np.isfinite(end):
                p = [
                    sign_flip_p(sums - (end + step) * counts, n_resamples=1999)
                    for step in (inside, -inside)
                ]
                assert p[0] > 0.05 >= p[1]
        excludes = low > 0 or high < 0
        assert excludes == (sign_flip_p(sums, n_resamples=1999) <= 0.05)


def test_fewer_than_six_clusters_give_no_interval():
    assert MIN_FLIPPED == 6
    assert least_p(5) == 0.0625
    assert np.isinf(sign_flip_interval([1.0, 2, 3, 4, 5])).all()
    assert np.isfinite(sign_flip_interval([1.0, 2, 3, 4, 5, 6])).all()


def test_intervals_of_many_data_sets_are_those_of_each(rng):
    values = rng.normal(size=(3, 9))
    low, high = sign_flip_interval(values, level=0.9)
    for i, one in enumerate(values):
        np.testing.assert_allclose((low[i], high[i]), sign_flip_interval(one, level=0.9))


def test_intervals_of_many_normal_values_are_near_those_of_t():
    values = stats.norm.ppf((np.arange(60) + 0.5) / 60) + 0.3
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(sign_flip_interval(values), tuple(expected), atol=0.03)
