"""Wilson intervals, corrections for an imperfect judge, and paired differences, against published or exact values."""

import math

import numpy as np
import pytest

from benchmarks.emoji_model.intervals import corrected, paired_difference, share, wilson


def test_wilson_intervals():
    # Newcombe 1998, Statistics in Medicine 17: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(hits, n)
        assert found["share"] == hits / n
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=5e-5)
    assert share([True, False, True, True]) == wilson(3, 4)
    nothing = wilson(0, 0)
    assert math.isnan(nothing["share"])
    assert (nothing["low"], nothing["high"]) == (0, 1)


def test_a_correction_undoes_the_errors_of_the_judge():
    # Of 1000 images 800 are right; a judge with Se 0.9 and Sp 0.75 calls 720 + 50 of them right.
    found = corrected(770, 1000, (900, 1000), (750, 1000))
    assert found["share"] == pytest.approx(0.8)
    assert found["low"] < 0.8 < found["high"]
    assert corrected(30, 40, (50, 50), (50, 50))["share"] == 0.75
    fewer = corrected(77, 100, (90, 100), (75, 100))
    assert fewer["high"] - fewer["low"] > found["high"] - found["low"]


def test_the_interval_by_hand():
    # Lang and Reiczigel 2014, with z = 1.959964: pseudo-counts of 1 + 1 for Se and Sp, z^2/2 of each for p.
    z = 1.959964
    n, n_se, n_sp = 100 + z**2, 52, 42
    p, se, sp = (60 + z**2 / 2) / n, 46 / n_se, 37 / n_sp
    true = (p + sp - 1) / (se + sp - 1)
    errors = (true * se * (1 - se) / n_se, (1 - true) * sp * (1 - sp) / n_sp)
    shift = 2 * z**2 * (errors[0] - errors[1])
    variance = p * (1 - p) / n + true * errors[0] + (1 - true) * errors[1]
    half = z * math.sqrt(variance) / (se + sp - 1)
    found = corrected(60, 100, (45, 50), (36, 40))
    assert found["low"] == pytest.approx(true + shift - half, abs=1e-6)
    assert found["high"] == pytest.approx(true + shift + half, abs=1e-6)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    truth, se, sp, covered = 0.9, 0.95, 0.8, []
    for _ in range(400):
        right = rng.binomial(200, truth)
        hits = rng.binomial(right, se) + rng.binomial(200 - right, 1 - sp)
        found = corrected(hits, 200, (rng.binomial(80, se), 80), (rng.binomial(60, sp), 60))
        covered.append(found["low"] <= truth <= found["high"])
    assert np.mean(covered) > 0.92


@pytest.mark.parametrize("known", [((0, 0), (5, 5)), ((5, 5), (0, 0)), ((4, 10), (6, 10))])
def test_a_judge_that_is_unknown_or_no_better_than_chance_tells_nothing(known):
    found = corrected(5, 10, *known)
    assert math.isnan(found["share"])
    assert (found["low"], found["high"]) == (0, 1)


def test_paired_differences():
    found = paired_difference(8, 2, 140)
    assert found["difference"] == 6 / 140
    b, c, n = 8.5, 2.5, 142
    half = 1.959964 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found["low"] == pytest.approx((b - c) / n - half, abs=1e-6)
    assert found["high"] == pytest.approx((b - c) / n + half, abs=1e-6)
    assert found["low"] < found["difference"] < found["high"]
    turned = paired_difference(2, 8, 140)
    assert (turned["low"], turned["high"]) == (-found["high"], -found["low"])
