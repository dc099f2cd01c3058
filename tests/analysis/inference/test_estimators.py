"""Means and differences over prompts, against scipy, statsmodels and loops."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

from daam_syntax.analysis import (
    adjust_p,
    cliffs_delta,
    estimate_difference,
    estimate_mean,
    paired_dz,
    prompt_means,
)
from daam_syntax.analysis.statistics import bootstrap, sign_flips
from daam_syntax.analysis.statistics.bootstrap import interval, mean_and_error
from daam_syntax.analysis.statistics.cluster_robust import effective_clusters, two_way_error
from daam_syntax.analysis.statistics.sign_flips import sign_flip_interval, sign_flip_p
from helpers.simulated import pair_table, random_pairs, sides

METHODS = ("studentized", "t", "bca", "percentile")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def pairs(rng):
    return random_pairs(rng, effect=0.08)


# Arrays


def test_mean_and_error_are_those_of_scipy_and_of_a_clustered_regression(rng):
    values = rng.normal(size=17)
    mean, error = mean_and_error(values)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(stats.sem(values))
    clusters = rng.integers(0, 6, 17)
    sums = np.bincount(clusters, weights=values)
    mean, error = mean_and_error(sums, np.bincount(clusters))
    fit = sm.OLS(values, np.ones(17)).fit()
    assert mean == pytest.approx(fit.params[0])
    expected = cov_cluster(fit, clusters, use_correction=False)[0, 0] * 6 / 5
    assert error == pytest.approx(np.sqrt(expected))


def test_studentized_intervals_against_a_loop(rng):
    sums, counts = rng.gamma(1, size=7), rng.integers(1, 4, 7).astype(float)
    low, high = interval(sums, counts, n_resamples=1999, seed=3)
    mean, error = mean_and_error(sums, counts)
    draws = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), size=1999)
    t = []
    for draw in draws:
        chosen = np.repeat(np.arange(7), draw)
        m, e = mean_and_error(sums[chosen], counts[chosen])
        t.append(0.0 if m == mean else abs(m - mean) / e if e > 0 else np.inf)
    critical = sorted(t)[int(np.ceil(0.95 * 1999)) - 1]
    assert [low, high] == pytest.approx([mean - critical * error, mean + critical * error])


def test_t_intervals_are_those_of_scipy(rng):
    values = rng.normal(size=11)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert interval(values, method="t", level=0.9) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("method", METHODS)
def test_intervals_of_many_data_sets_are_those_of_each(rng, method):
    many = rng.gamma(2, size=(3, 9))
    low, high = interval(many, method=method, n_resamples=2999)
    for i, values in enumerate(many):
        one = interval(values, method=method, n_resamples=2999)
        # scipy draws separate samples for each data set
        slack = 0.15 if method in ("bca", "percentile") else 1e-9
        np.testing.assert_allclose([low[i], high[i]], one, atol=slack)
        assert low[i] < values.mean() < high[i]


def test_a_symmetric_studentized_interval_tends_to_that_of_t_for_normal_values():
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    wide, narrow = (interval(values, method=m)[1] for m in ("studentized", "t"))
    assert wide == pytest.approx(narrow, rel=0.03)


def test_samples_of_equal_values_are_not_taken_for_precise_ones():
    # one prompt in eight differs: a third of all samples miss it, so t has no finite bound
    low, high = interval([0, 0, 0, 0, 0, 0, 0, 0.9])
    assert np.isinf([low, high]).all()
    # also if rounding leaves a trace of a spread
    assert np.isinf(interval([1.0] * 23 + [0.5])).all()


def test_unknown_intervals_are_named():
    with pytest.raises(ValueError, match="got 'bayes'"):
        interval([1.0, 2.0], method="bayes")


def test_many_clusters_are_resampled_in_parts(rng, monkeypatch):
    """The results equal those of a loop over samples, and of sign flips in one piece."""
    sums, counts = rng.gamma(1, size=(2, 30)), rng.integers(1, 4, 30).astype(float)
    differences = sums - 0.9
    whole = sign_flip_p(differences, n_resamples=999)
    monkeypatch.setattr(bootstrap, "_KEPT", 0)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 30 * 7)
    random, t = np.random.default_rng(0), []
    mean, error = mean_and_error(sums, counts)
    for _ in range(999):
        chosen = random.integers(30, size=30)
        own_mean, own_error = mean_and_error(sums[:, chosen], counts[chosen])
        t.append(np.abs(own_mean - mean) / own_error)
    critical = np.quantile(t, 0.95, axis=0, method="inverted_cdf")
    low, high = interval(sums, counts, n_resamples=999)
    np.testing.assert_allclose([low, high], [mean - critical * error, mean + critical * error])
    monkeypatch.setattr(sign_flips, "_KEPT", 0)
    monkeypatch.setattr(sign_flips, "_AT_ONCE", 999 * 4)
    np.testing.assert_array_equal(sign_flip_p(differences, n_resamples=999), whole)
    assert 0.001 < whole.min() < 0.9


def test_intervals_of_thousands_of_clusters_need_little_memory(rng):
    values = rng.gamma(1, size=3000)
    tracemalloc.start()
    low, high = interval(values, n_resamples=999)
    p = sign_flip_p(values - 1.02, n_resamples=9999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6  # a matrix of all draws would need 240 MB
    expected = stats.t.interval(0.95, 2999, values.mean(), stats.sem(values))
    np.testing.assert_allclose([low, high], expected, atol=0.1 * (high - low))
    assert p == pytest.approx(stats.ttest_1samp(values, 1.02).pvalue, abs=0.03)


def test_two_way_errors_are_those_of_statsmodels(rng):
    first, second = rng.integers(0, 12, 150), rng.integers(0, 8, 150)
    values = rng.normal(size=150) + rng.normal(size=12)[first] + rng.normal(size=8)[second]
    fit = sm.OLS(values, np.ones(150)).fit()
    both, one, other = cov_cluster_2groups(fit, first, second, use_correction=False)
    n12 = len(set(zip(first, second, strict=True)))
    third = one + other - both
    expected = one * 12 / 11 + other * 8 / 7 - third * n12 / (n12 - 1)
    error = two_way_error((values - values.mean()) / 150, first, second)
    assert error == pytest.approx(np.sqrt(expected.item()))


def test_two_way_errors_are_those_of_the_jackknife(rng):
    """With one kind of clusters twice, that of leaving out each cluster of a weighted mean."""
    codes = np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13])
    weights, values = rng.random(32), rng.normal(size=32)
    mean = np.average(values, weights=weights)
    left_out = np.array(
        [np.average(values[codes != k], weights=weights[codes != k]) for k in range(6)]
    )
    expected = np.sqrt(5 / 6 * ((left_out - mean) ** 2).sum())
    deviations = weights * (values - mean) / weights.sum()
    assert two_way_error(deviations, codes, codes, weights) == pytest.approx(expected)
    assert effective_clusters(np.ones(12), np.repeat(range(4), 3)) == pytest.approx(4)
    assert 1 < effective_clusters(weights, codes) < 6


def test_two_way_errors_never_fall_below_one_way_errors(rng):
    # values that cancel within both kinds of clusters make the difference of variances negative
    first, second = np.repeat([0, 1, 2, 3], 4), np.tile([0, 1, 2, 3], 4)
    values = np.where((first + second) % 2, 1.0, -1.0)
    assert two_way_error(values, first, second) == 0
    one_kind = np.repeat(np.arange(8), 2)
    np.testing.assert_allclose(
        two_way_error(values + one_kind - 3.5, one_kind, one_kind // 2),
        np.sqrt(4 / 3 * (np.bincount(one_kind // 2, weights=values + one_kind - 3.5) ** 2).sum()),
    )
    assert np.isnan(two_way_error(values, one_kind, np.zeros(16, int)))


# Tables


def test_prompts_weigh_equally_and_images_within_them():
    table = pair_table({"a": [[0.1, 0.3], [0.4]], "b": [[0.9] * 5], "c": [[np.nan]]})
    assert prompt_means(table, "iou").to_dict() == pytest.approx({"a": 0.3, "b": 0.9})
    estimate = estimate_mean(table)
    assert estimate.estimate == pytest.approx(0.6)
    assert (estimate.n_prompts, estimate.n_images, estimate.n_pairs) == (2, 3, 8)


def test_a_difference_is_paired_within_prompts_if_asked():
    relation = pair_table({"a": [[0.5, 0.3]], "b": [[0.6], [0.8]], "c": [[0.9]]})
    control = pair_table({"a": [[0.1], [0.3]], "b": [[0.6]], "d": [[0.0]]})
    found = estimate_difference(relation, control, paired_by="prompt_id")
    assert found.estimate == pytest.approx(((0.4 - 0.2) + (0.7 - 0.6)) / 2)
    assert (found.n_prompts, found.n_images, found.n_pairs, found.n_unpaired) == (2, 3, 4, 2)
    assert found.effect_size == pytest.approx(0.15 / np.std([0.2, 0.1], ddof=1))


def test_a_difference_is_paired_within_images():
    """The image of prompt b that has only one side is left out, so its level does not matter."""
    relation = pair_table({"a": [[0.5, 0.3]], "b": [[0.6], [0.8]]})
    control = pair_table({"a": [[0.1]], "b": [[0.5]], "d": [[0.0]]})
    assert relation["image"].tolist() == [0, 0, 1, 2]
    assert control["image"].tolist() == [0, 1, 2]
    found = estimate_difference(relation, control)
    assert found.estimate == pytest.approx((0.3 + 0.1) / 2)
    assert (found.n_prompts, found.n_images, found.n_pairs, found.n_unpaired) == (2, 2, 3, 1)


def test_intervals_and_p_values_are_those_of_sign_flips_of_the_prompts_differences(pairs):
    amod, control = sides(pairs)
    found = estimate_difference(amod, control, accept="all")
    differences = (prompt_means(amod, "iou") - prompt_means(control, "iou")).to_numpy()
    np.testing.assert_allclose((found.low, found.high), sign_flip_interval(differences))
    assert found.p == sign_flip_p(differences)
    assert found.least_p == 2**-11
    assert found.standard_error == pytest.approx(stats.sem(differences))
    assert found.low < found.estimate < found.high


def test_more_pairs_and_seeds_of_the_same_prompts_are_not_new_prompts(pairs):
    amod, control = sides(pairs)
    once = estimate_difference(amod, control, accept="all")
    more_pairs = pd.concat([amod, amod])
    more_seeds = pd.concat([amod, amod.assign(image=amod["image"] + 100)])
    more_controls = pd.concat([control, control.assign(image=control["image"] + 100)])
    for more, other in ((more_pairs, control), (more_seeds, more_controls)):
        again = estimate_difference(more, other, accept="all")
        assert again.n_pairs == 2 * once.n_pairs
        assert (again.low, again.high, again.p) == pytest.approx((once.low, once.high, once.p))
    new_prompts = [t.assign(prompt_id=t["prompt_id"] + "b") for t in (amod, control)]
    wider = estimate_difference(*map(pd.concat, zip((amod, control), new_prompts, strict=True)))
    assert wider.high - wider.low < 0.8 * (once.high - once.low)


def test_more_prompts_of_the_same_templates_are_not_new_templates(pairs):
    templates = {f"p{i:03}": f"t{i % 6}" for i in range(12)}
    pairs["template"] = pairs["prompt_id"].map(templates)
    copies = pairs.assign(prompt_id=pairs["prompt_id"] + "b")
    once, twice = (
        estimate_difference(*sides(table), accept="all", cluster="template")
        for table in (pairs, pd.concat([pairs, copies]))
    )
    assert (twice.n_prompts, twice.n_clusters) == (24, 6)
    assert (twice.low, twice.high, twice.p) == pytest.approx((once.low, once.high, once.p))


def test_crossed_clusters_widen_the_interval_where_lemmas_have_effects(rng, pairs):
    lemma = pairs["head_lemma"].str[-1].astype(int)
    effect = rng.normal(0, 0.2, 6)[lemma] * (pairs["kind"] == "dependency")
    pairs["iou"] += effect
    amod, control = sides(pairs)
    one_way = estimate_difference(amod, control)
    two_way = estimate_difference(amod, control, cluster=("prompt_id", "head_lemma"))
    assert two_way.estimate == pytest.approx(one_way.estimate)
    assert two_way.standard_error > 1.2 * one_way.standard_error
    assert two_way.n_clusters == 6
    assert two_way.low <= 0 <= two_way.high or two_way.p < 0.05
    mean = estimate_mean(amod, cluster=("prompt_id", "head_lemma"))
    assert mean.low < mean.estimate < mean.high
    assert np.isnan(mean.p)


def test_two_ways_that_nest_are_the_coarser_way(pairs):
    # if every prompt is a cluster of both kinds, both ways are prompts
    pairs["copy"] = pairs["prompt_id"]
    amod, control = sides(pairs)
    two_way = estimate_difference(amod, control, cluster=("prompt_id", "copy"))
    values = (prompt_means(amod, "iou") - prompt_means(control, "iou")).to_numpy()
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert (two_way.low, two_way.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.3], "1 prompt, and an interval needs at least 5"),
        ([0.3, 0.2, 0.1, 0.4], "4 prompts, and an interval needs at least 5"),
        ([0.25] * 6, "all prompts have the same value"),
        ([0.0] * 7 + [0.8], "too few prompts differ from the others"),
    ],
)
def test_without_an_interval_there_is_a_reason(values, reason):
    table = pair_table({f"p{i}": [[value]] for i, value in enumerate(values)})
    found = estimate_mean(table)
    assert found.reason == reason
    assert found.estimate == pytest.approx(np.mean(values))
    assert np.isnan([found.low, found.high]).all()
    assert reason in repr(found)


@pytest.mark.parametrize("method", ["studentized", "t"])
def test_intervals_are_cut_off_where_no_mean_can_lie(method):
    near = pair_table({f"p{i}": [[v]] for i, v in enumerate([1, 0.95, 0.9, 1, 0.4])})
    options = {"method": method, "n_resamples": 999}
    free, cut = estimate_mean(near, **options), estimate_mean(near, **options, bounds=(0, 1))
    assert (cut.low, cut.high) == (max(free.low, 0), min(free.high, 1))
    assert 0 <= cut.low <= cut.estimate <= cut.high <= 1


def test_intervals_of_differences_are_cut_off_where_none_can_lie():
    near, far = (
        pair_table({f"p{i}": [[v]] for i, v in enumerate(x)})
        for x in ([1, 0.95, 0.9, 1, 0.4, 1, 1], [0] * 7)
    )
    free, cut = (estimate_difference(far, near, bounds=b) for b in ((-9, 9), (0, 0.95)))
    assert free.low < -0.95
    assert (cut.low, cut.high) == (-0.95, free.high)


def test_tables_without_any_value_give_nan_and_a_reason():
    table = pair_table({"a": [[np.nan]]})
    for found in (estimate_mean(table), estimate_difference(table, table)):
        assert np.isnan(found.estimate)
        assert (found.n_prompts, found.n_pairs) == (0, 0)
        assert found.reason in (
            "0 prompts, and an interval needs at least 5",
            "no prompt has both sides",
        )


def test_reprs_have_estimate_interval_test_and_sample(pairs):
    text = repr(estimate_difference(*sides(pairs), accept="all", label="amod - unrelated"))
    assert text.startswith("Estimate(amod - unrelated: iou 0.0")
    for part in ("95% interval [", "p ", "dz = ", "12 prompts, 24 images, 72 pairs", "sign flips"):
        assert part in text
    assert "&lt;" in estimate_mean(pairs, label="<b>")._repr_html_()


def test_invalid_arguments_are_named(pairs):
    with pytest.raises(TypeError, match="pandas DataFrame, but got Series"):
        estimate_mean(pairs["iou"])
    with pytest.raises(ValueError, match=r"such as 0\.95, but got 0"):
        estimate_difference(pairs, pairs, level=0)
    with pytest.raises(ValueError, match="relation contains text"):
        estimate_mean(pairs, "relation")
    with pytest.raises(ValueError, match="at least one bootstrap sample"):
        estimate_mean(pairs, n_resamples=0)


def test_invalid_tables_are_named(pairs):
    amod, control = sides(pairs)
    with pytest.raises(ValueError, match="the columns 'lift'"):
        estimate_mean(amod, "lift")
    with pytest.raises(ValueError, match="one threshold"):
        estimate_mean(pd.concat([amod, amod.assign(threshold="absolute:0.15")]))
    with pytest.raises(ValueError, match="one scheme"):
        estimate_difference(amod, control.assign(scheme="enhanced"))
    with pytest.raises(ValueError, match="cluster two ways"):
        estimate_mean(amod, cluster="head_lemma")
    with pytest.raises(ValueError, match="head_lemma is missing in some rows"):
        estimate_mean(amod.assign(head_lemma=None), cluster=("prompt_id", "head_lemma"))
    with pytest.raises(ValueError, match="one or two cluster columns"):
        estimate_mean(amod, cluster=("prompt_id", "image", "head_lemma"))


# Effects and corrections


def test_effect_sizes_by_hand():
    assert paired_dz([1, 2, 3]) == pytest.approx(2.0)
    assert np.isnan(paired_dz([0.1, 0.1]))
    assert np.isnan(paired_dz([1]))
    # 3 exceeds 1 and 2 and is below 9; 2 exceeds 1, ties with 2 and is below 9
    assert cliffs_delta([3, 2], [1, 2, 9]) == pytest.approx((2 + 1 - 2) / 6)
    assert np.isnan(cliffs_delta([], [1]))


def test_cliffs_delta_is_the_statistic_of_the_rank_test(rng):
    x, y = rng.normal(size=8), rng.normal(size=11)
    u = stats.mannwhitneyu(x, y).statistic
    assert cliffs_delta(x, y) == pytest.approx(2 * u / 88 - 1)


@pytest.mark.parametrize(("correction", "name"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_corrections_are_those_of_statsmodels(rng, correction, name):
    p = np.append(rng.uniform(size=20) ** 3, [0, 0.2, 0.2, 1])
    np.testing.assert_allclose(adjust_p(p, correction), multipletests(p, method=name)[1])


def test_corrections_by_hand_leave_missing_tests_out():
    p = [0.01, np.nan, 0.04, 0.03]
    np.testing.assert_allclose(adjust_p(p), [0.03, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(adjust_p(p, "bh"), [0.03, np.nan, 0.04, 0.04])
    np.testing.assert_allclose(adjust_p(p, "none"), p)
    assert adjust_p([]).size == 0
    with pytest.raises(ValueError, match="got 'sidak'"):
        adjust_p(p, "sidak")
