"""Levels of tests and intervals in simulated studies; benchmarks/calibration.py is the large version."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from daam_syntax.analysis import (
    SimulatedStudy,
    estimate_difference,
    prompt_means,
    regress,
    variance_components,
)
from daam_syntax.analysis.statistics.bootstrap import interval
from daam_syntax.analysis.statistics.cluster_robust import two_way_error
from daam_syntax.analysis.statistics.sign_flips import sign_flip_p

N = 2000
UNLIKE = replace(SimulatedStudy(n_prompts=20, n_pairs=(1, 6)), pair=(1.5, 0.6)).with_equal_means()


def prompts(study, n=N, seed=0):
    """Means of relation and control in each prompt. *Shape:* ``(study, prompt)`` each."""
    overlaps, _ = study.draw(n, np.random.default_rng(seed))
    return tuple(side.mean(axis=(2, 3)) for side in overlaps)


def is_rate(hits, promised):
    """Whether the share of hits among independent studies agrees with a promised rate (binomial test)."""
    return stats.binomtest(int(np.sum(hits)), len(hits), promised).pvalue > 0.001


@pytest.mark.parametrize(
    "study", [SimulatedStudy(n_prompts=10), SimulatedStudy(n_prompts=20, n_seeds=4), UNLIKE]
)
def test_sign_flips_and_studentized_intervals_keep_their_level(study):
    relation, control = prompts(study)
    p = sign_flip_p(relation - control, n_resamples=999)
    assert is_rate(p <= 0.05, 0.05)
    low, high = interval(relation - control, n_resamples=999)
    assert 0.935 <= np.mean((low <= 0) & (high >= 0)) <= 0.97


def test_studentized_intervals_cover_skewed_means_and_percentiles_do_not():
    study = SimulatedStudy(n_prompts=10)
    values, truth = prompts(study)[0], study.true_mean(0)

    def coverage(method):
        low, high = interval(values, method=method, n_resamples=999)
        return np.mean((low <= truth) & (truth <= high))

    assert coverage("studentized") > 0.935
    assert coverage("percentile") < 0.925


def test_pairs_as_the_sample_find_too_much():
    overlaps, _ = SimulatedStudy(n_prompts=10, n_seeds=4).draw(N, np.random.default_rng(0))
    naive = stats.ttest_ind(*(side.reshape(N, -1) for side in overlaps), axis=1, equal_var=False)
    assert np.mean(naive.pvalue <= 0.05) > 0.1


def test_templates_are_the_sample_where_they_have_effects():
    study = SimulatedStudy(n_prompts=48, n_templates=12, template=0.4)
    relation, control = prompts(study)
    by_prompt = relation - control
    by_template = by_prompt.reshape(N, 4, 12).sum(axis=1)
    assert is_rate(sign_flip_p(by_template, n_resamples=999) <= 0.05, 0.05)
    assert np.mean(sign_flip_p(by_prompt, n_resamples=999) <= 0.05) > 0.1


@pytest.mark.slow
def test_two_way_errors_keep_their_level_where_prompts_alone_do_not():
    study = SimulatedStudy(n_prompts=15, n_seeds=1, n_lemmas=12, lemma=0.8)
    rates = {}
    for cluster in ("prompt_id", ("prompt_id", "head_lemma")):
        tables = study.tables(300, np.random.default_rng(1))
        found = [
            estimate_difference(
                *(t[t["kind"] == kind] for kind in ("dependency", "unrelated")),
                cluster=cluster,
                n_resamples=199,
            )
            for t in tables
        ]
        rates[cluster] = np.mean([e.low > 0 or e.high < 0 for e in found])
    assert rates["prompt_id"] > 0.1
    assert rates["prompt_id", "head_lemma"] <= 0.08


def test_tables_and_arrays_have_the_same_two_way_errors():
    study = SimulatedStudy(n_prompts=8, lemma=0.5)
    overlaps, lemmas = study.draw(1, np.random.default_rng(6))
    table = study.tables(1, np.random.default_rng(6))[0]
    prompt = np.concatenate([np.indices(side.shape[1:])[0].ravel() for side in overlaps])
    relation, control = ((side - side.mean()).ravel() / side.size for side in overlaps)
    lemma = np.concatenate([side.ravel() for side in lemmas])
    found = estimate_difference(
        *(table[table["kind"] == kind] for kind in ("dependency", "unrelated")),
        cluster=("prompt_id", "head_lemma"),
    )
    weights = np.repeat([1 / relation.size, 1 / control.size], [relation.size, control.size])
    expected = two_way_error(np.concatenate([relation, -control]), prompt, lemma, weights)
    assert found.standard_error == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ols", "gee"])
def test_regressions_keep_their_level(model):
    tables = SimulatedStudy(n_prompts=15, n_seeds=1).tables(200, np.random.default_rng(2))
    options = {"model": model, "reference": "unrelated", "accept": "all"}
    p = [regress(t, **options).terms.set_index("term").loc["relation[amod]", "p"] for t in tables]
    assert is_rate(np.array(p) <= 0.05, 0.05)


def test_simulated_overlaps_have_their_true_means():
    study = SimulatedStudy(
        mean=(-1.0, -2.0), pair=(1.5, 0.5), lemma=0.5, template=0.3, n_templates=20
    )
    overlaps, lemmas = study.draw(4000, np.random.default_rng(0))
    for side in (0, 1):
        assert overlaps[side].shape == lemmas[side].shape == (4000, 20, 2, study.n_pairs[side])
        assert overlaps[side].mean() == pytest.approx(study.true_mean(side), abs=0.003)
        assert overlaps[side].min() == 0
        assert overlaps[side].max() <= 1
    assert UNLIKE.true_difference() == pytest.approx(0, abs=1e-9)
    assert study.true_difference() > 0.1


def test_tables_hold_what_was_drawn():
    study = SimulatedStudy(n_prompts=6, n_seeds=3, n_pairs=(2, 4), n_templates=3)
    overlaps, lemmas = study.draw(2, np.random.default_rng(4))
    tables = study.tables(2, np.random.default_rng(4))
    for i, table in enumerate(tables):
        for side, kind in enumerate(("dependency", "unrelated")):
            rows = table[table["kind"] == kind]
            expected = overlaps[side][i].mean(axis=(1, 2))
            np.testing.assert_allclose(prompt_means(rows, "iou"), expected)
            assert rows["head_lemma"].tolist() == [f"lemma{c}" for c in lemmas[side][i].ravel()]
        assert table.groupby("prompt_id")["template"].nunique().eq(1).all()
        assert table.groupby("prompt_id")["image"].nunique().eq(3).all()
        found = variance_components(
            *(table[table["kind"] == k] for k in ("dependency", "unrelated"))
        )
        assert (found.n_prompts, found.n_images) == (6, 18)
