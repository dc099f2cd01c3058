"""The AUC of a judge without errors, against simulated judges."""

import numpy as np
import pytest

from daam_syntax.studies.verdicts.discrimination import Outcomes, auc
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates, attenuation, corrected


def test_the_correction_recovers_the_auc_of_the_truth():
    rng = np.random.default_rng(0)
    n, sensitivity, specificity = 20_000, 0.85, 0.9
    truth = rng.random(n) < 0.3
    scores = rng.normal(size=n) + truth
    called = np.where(truth, rng.random(n) < sensitivity, rng.random(n) > specificity)

    def of(failed):
        parts = [Outcomes(part.astype(float), np.zeros(2000, int)) for part in np.split(failed, 10)]
        return np.mean([auc(o, s)[0] for o, s in zip(parts, np.split(scores, 10), strict=True)])

    factor = attenuation(called.mean(), sensitivity, specificity)
    assert of(called) < of(truth) - 0.03
    found = corrected(np.array([of(called)]), np.atleast_1d(factor))[0]
    assert found == pytest.approx(of(truth), abs=0.015)


def test_values_by_hand():
    # Of 100 images 30 are failures: 24 are found, and 7 of 70 right ones are called failures.
    factor = attenuation(0.31, 0.8, 0.9)
    assert factor == pytest.approx(24 / 31 + 63 / 69 - 1)
    assert attenuation(0.31, 1, 1) == 1
    assert attenuation(0.31, 0.5, 0.5) == 0  # a judge that knows nothing
    assert attenuation(0.05, 0.8, 0.9) == 0  # all of its failures may be errors
    np.testing.assert_allclose(
        corrected(np.array([0.7, 0.99, 0.7]), np.array([0.5, 0.5, 0.1])), [0.9, 1, np.nan]
    )


def test_rates_vary_as_much_as_their_sample_says():
    rng = np.random.default_rng(0)
    sensitivity, specificity = ErrorRates(0.9, 0.95, 50, 200).draw(rng, 4000)
    assert sensitivity.mean() == pytest.approx(0.9, abs=0.01)
    assert sensitivity.std() == pytest.approx(np.sqrt(0.09 / 50), rel=0.1)
    assert specificity.std() == pytest.approx(np.sqrt(0.0475 / 200), rel=0.15)
    exact = ErrorRates(0.9, 0.95).draw(rng, 3)
    assert np.ptp(exact, axis=1).tolist() == [0, 0]
