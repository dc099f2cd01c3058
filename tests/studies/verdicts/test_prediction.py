"""Predictions out of sample: folds of prompts, and null and true worlds of measures."""

import numpy as np
import pytest

from daam_syntax.studies.verdicts.discrimination import Outcomes, auc, exchange_p
from daam_syntax.studies.verdicts.prediction import Predictors, cross_fit, divide, noun_columns

N_PROMPTS, N_SEEDS = 60, 3


def predictors(*columns, nouns=None):
    numbers = np.column_stack(columns) if columns else np.zeros((N_PROMPTS * N_SEEDS, 0))
    return Predictors("", numbers, np.zeros((len(numbers), 0)) if nouns is None else nouns)


def world(seed, effect):
    """A world in which prompts differ in difficulty, which the prompt says in part, and measures may show failures."""
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(N_PROMPTS), N_SEEDS)
    known, unknown, style = rng.normal(size=(3, N_PROMPTS))[:, prompts]
    measures = rng.normal(size=(2, len(prompts))) + style  # maps of one prompt are alike
    odds = known + unknown / 2 + effect * measures[0] - 0.5
    failed = (rng.random(len(prompts)) < 1 / (1 + np.exp(-odds))).astype(float)
    return Outcomes(failed, prompts), known, measures, rng


def p_and_aucs(seed, effect):
    some, known, measures, rng = world(seed, effect)
    folds = divide(some.failed, some.prompts, rng, 5)[None]
    sets = (predictors(known), predictors(known, *measures), predictors(*measures))
    baseline, both, alone = (cross_fit(each, some.failed, folds).scores for each in sets)
    p = exchange_p(some, both, baseline, rng, 199)
    return p, *(auc(some, each)[0] for each in (baseline, both, alone))


def test_images_of_a_prompt_are_in_one_fold_and_failures_in_all():
    some, *_, rng = world(0, 0)
    folds = divide(some.failed, some.prompts, rng)
    assert all(len(set(folds[some.prompts == prompt])) == 1 for prompt in range(N_PROMPTS))
    assert set(np.bincount(folds)) == {N_SEEDS * N_PROMPTS // 10}
    assert np.ptp(np.bincount(folds, some.failed)) <= 5


def test_nothing_of_an_image_is_in_its_prediction():
    """Its own verdict, and its measures for others, change only what depends on them."""
    some, known, measures, rng = world(1, 1)
    folds = divide(some.failed, some.prompts, rng)[None]
    both = predictors(known, *measures)
    before = cross_fit(both, some.failed, folds).log_odds
    own_fold = folds[0] == folds[0, 0]
    changed = np.where(own_fold, 1 - some.failed, some.failed)
    after = cross_fit(both, changed, folds).log_odds
    np.testing.assert_array_equal(after[own_fold], before[own_fold])
    assert not np.isclose(after[~own_fold], before[~own_fold]).any()
    outlier = np.where(own_fold & (np.arange(len(known)) != 0), 1e6, known)
    other = cross_fit(predictors(outlier, *measures), some.failed, folds).log_odds
    assert other[0] == before[0]  # scaled by the other folds


def test_without_predictors_the_prediction_is_the_share_of_the_other_folds():
    some, *_, rng = world(2, 0)
    folds = divide(some.failed, some.prompts, rng)[None]
    found = cross_fit(predictors(), some.failed, folds)
    share = some.failed[folds[0] != folds[0, 0]].mean()
    assert found.log_odds[0] == pytest.approx(np.log(share / (1 - share)), abs=1e-4)
    assert np.ptp(found.scores) == pytest.approx(0, abs=1e-9)  # so ranks are ties


def test_undefined_and_constant_measures_say_nothing():
    some, known, _, rng = world(3, 1)
    folds = divide(some.failed, some.prompts, rng)[None]
    expected = cross_fit(predictors(known), some.failed, folds).log_odds
    more = predictors(known, 0 * known + 0.1, np.full(len(known), np.nan))
    np.testing.assert_allclose(cross_fit(more, some.failed, folds).log_odds, expected)


def test_nouns_have_rates_of_their_own():
    prompts = np.repeat(np.arange(N_PROMPTS), N_SEEDS)
    nouns = [frozenset({"cat" if prompt % 3 else "tulip", f"noun {prompt}"}) for prompt in prompts]
    columns = noun_columns(nouns, prompts)
    assert columns.shape == (len(prompts), 2)  # nouns of one prompt cannot be learned
    rng = np.random.default_rng(0)
    failed = (rng.random(len(prompts)) < np.where(prompts % 3, 0.2, 0.8)).astype(float)
    folds = divide(failed, prompts, rng)[None]
    found = cross_fit(predictors(nouns=columns), failed, folds)
    assert auc(Outcomes(failed, prompts), found.scores)[0] > 0.7


def test_noise_is_not_found_and_the_truth_is():
    """At 5 %: of worlds whose measures say nothing, and of worlds whose measures do."""
    null = np.array([p_and_aucs(seed, 0) for seed in range(30)])
    assert (null[:, 0] <= 0.05).mean() <= 0.05
    assert null[:, 1].mean() > 0.65  # the prompt predicts failures
    assert null[:, 3].mean() == pytest.approx(0.5, abs=0.03)
    true = np.array([p_and_aucs(seed, 1.5) for seed in range(10)])
    assert (true[:, 0] <= 0.05).mean() >= 0.75
    assert (true[:, 2] > true[:, 1]).all()
