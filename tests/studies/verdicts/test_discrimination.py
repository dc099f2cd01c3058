"""Separation of failed and right images: by hand, against SciPy, and in worlds where nothing is there to find."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from daam_syntax.maps.measures import average_precision as map_precision
from daam_syntax.studies.verdicts.discrimination import (
    Outcomes,
    auc,
    average_precision,
    exchange_p,
    interval,
    skill,
    within_prompts,
)


def outcomes(failed, prompts):
    return Outcomes(np.array(failed, dtype=float), np.array(prompts))


def at_random(seed, n_prompts=30, n_seeds=3):
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(n_prompts), n_seeds)
    hard = rng.normal(size=n_prompts)[prompts]
    return Outcomes((rng.normal(size=len(prompts)) + hard > 0.5).astype(float), prompts), rng


def test_values_by_hand():
    four = outcomes([1, 0, 1, 0], [0, 0, 1, 1])
    scores = np.array([3.0, 2.0, 2.0, 1.0])
    # 3 > 2, 3 > 1, 2 = 2, 2 > 1
    assert auc(four, scores)[0] == 3.5 / 4
    # 3 is a failure; of the two 2, one is.
    assert average_precision(four, scores)[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    odds = np.log(np.array([4.0, 1 / 4, 1.0, 1.0]))
    half = np.zeros(4)
    assert skill(four, odds, half)[0] == pytest.approx(1 - (2 * 0.04 + 2 * 0.25) / 1)
    logs = -2 * np.log(0.8) - 2 * np.log(0.5)
    assert skill(four, odds, half, kind="log")[0] == pytest.approx(1 - logs / (-4 * np.log(0.5)))


def test_values_of_other_implementations():
    some, rng = at_random(0)
    scores = rng.integers(6, size=len(some.failed)).astype(float)  # with ties
    bad = some.failed > 0
    expected = mannwhitneyu(scores[bad], scores[~bad]).statistic / (bad.sum() * (~bad).sum())
    assert auc(some, scores)[0] == pytest.approx(expected)
    precision = map_precision(scores[None], bad[None])
    assert average_precision(some, scores)[0] == pytest.approx(float(precision))


def test_a_prompt_that_is_drawn_twice_counts_twice():
    some, rng = at_random(1, n_prompts=6)
    scores = rng.normal(size=len(some.failed))
    weights = np.array([[2.0, 1, 0, 3, 1, 1]])
    drawn = np.concatenate([np.flatnonzero(some.prompts == p) for p in (0, 0, 1, 3, 3, 3, 4, 5)])
    again = Outcomes(some.failed[drawn], np.arange(len(drawn)))
    for function in (auc, average_precision):
        assert function(some, scores, weights)[0] == pytest.approx(
            function(again, scores[drawn])[0]
        )
    assert skill(some, scores, 0 * scores, weights)[0] == pytest.approx(
        skill(again, scores[drawn], 0 * drawn)[0]
    )


def test_samples_without_failures_are_undefined_and_left_out():
    two = outcomes([1, 0], [0, 1])
    weights = np.array([[2.0, 0], [1, 1], [1, 1], [1, 1]])
    replicates = auc(two, np.array([1.0, 0.0]), weights)
    np.testing.assert_array_equal(replicates, [np.nan, 1, 1, 1])
    assert interval(replicates) == (1, 1)
    assert np.isnan(interval(np.array([np.nan, np.nan, 0.5]))).all()


def test_the_exchange_of_whole_prompts_is_that_of_every_combination():
    some, rng = at_random(2, n_prompts=5)
    better, baseline = some.failed + rng.normal(size=15), rng.normal(size=15)
    ranks = [np.argsort(np.argsort(each)) for each in (baseline, better)]
    values = []
    for chosen in itertools.product([0, 1], repeat=5):
        swap = np.array(chosen)[some.prompts] > 0
        first, second = np.where(swap, ranks[0], ranks[1]), np.where(swap, ranks[1], ranks[0])
        values.append(auc(some, first)[0] - auc(some, second)[0])
    expected = np.mean(np.array(values) >= values[0] - 1e-9)
    found = exchange_p(some, better, baseline, np.random.default_rng(0), 20_000)
    assert found == pytest.approx(expected, abs=0.01)


def test_within_prompts_by_hand():
    some = outcomes([1, 0, 0, 1, 0, 1, 1], [0, 0, 0, 1, 1, 2, 2])
    scores = np.array([5.0, 1, 9, 2, 2, 8, 7])
    found = within_prompts(some, scores, np.random.default_rng(0), 500)
    # One higher, one lower, one tie; prompt 2 has only failures.
    assert (found.difference, found.n_prompts, found.n_pairs) == (0, 2, 3)
    one_missing = np.where(scores == 9, np.nan, scores)
    assert within_prompts(some, one_missing, np.random.default_rng(0), 500).difference == 0.5
    none = within_prompts(outcomes([1, 0], [0, 1]), scores[:2], np.random.default_rng(0), 9)
    assert np.isnan(none.p)
    assert none.n_pairs == 0


def test_within_prompts_with_two_images_is_a_sign_test():
    rng = np.random.default_rng(0)
    n = 9
    some = outcomes([1, 0] * n, np.repeat(np.arange(n), 2))
    scores = rng.normal(size=2 * n)
    wins = int((scores[::2] > scores[1::2]).sum())
    found = within_prompts(some, scores, rng, 20_000)
    assert found.difference == pytest.approx(2 * wins / n - 1)
    assert found.p == pytest.approx(binomtest(wins, n).pvalue, abs=0.01)


def test_within_prompts_keeps_its_level_where_prompts_differ():
    """Hard prompts have high scores: between prompts they separate failures, within them they do not."""
    found, between = [], []
    for seed in range(120):
        some, rng = at_random(seed)
        share = (np.bincount(some.prompts, some.failed) / 3)[some.prompts]
        scores = share + rng.normal(size=len(some.failed)) / 4
        between.append(auc(some, scores)[0])
        found.append(within_prompts(some, scores, rng, 99).p)
    assert np.mean(between) > 0.8
    assert 0 < np.mean(np.array(found) <= 0.05) < 0.1
