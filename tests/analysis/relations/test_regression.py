"""Regressions against the formula interface of statsmodels, and fits that fail."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.genmod.cov_struct import Independence
from statsmodels.genmod.families import Binomial

from daam_syntax.analysis import regress as regress_against
from helpers.simulated import random_pairs, sentence_rows

FORMULA = "iou ~ C(relation, Treatment('unrelated')) + distance + subwords"
MODELS = ("ols", "gee", "mixed")


def regress(pairs, *arguments, **options):
    """Regress pair by pair, between images, with the covariates of `FORMULA`."""
    chosen = {"covariates": ("linear_distance", "subwords"), "within": None}
    return regress_against(pairs, *arguments, **{"reference": "unrelated", **chosen, **options})


@pytest.fixture
def pairs():
    table = random_pairs(np.random.default_rng(4), effect=0.1, n_images=3)
    table.loc[::9, "iou"] = 0.0  # overlaps can be 0, whose logit is infinite
    return table


@pytest.fixture
def prepared(pairs):
    distance = pairs["linear_distance"].abs()
    subwords = pairs["head_subwords"] + pairs["dependent_subwords"]
    return pairs.assign(
        distance=distance - distance.mean(), subwords=subwords - subwords.mean()
    ).copy()


def found(regression, *columns):
    return regression.terms[list(columns)].to_numpy(float)


def test_least_squares_are_those_of_a_formula(pairs, prepared):
    """The errors are CR2; benchmarks of the errors are in `test_nested.py`."""
    fit = smf.ols(FORMULA, prepared).fit()
    regression = regress(pairs)
    assert regression.converged
    names = ["intercept", "relation[amod]", "linear_distance", "subwords"]
    assert regression.terms["term"].tolist() == names
    np.testing.assert_allclose(found(regression, "estimate")[:, 0], fit.params)


def test_fixed_effects_of_images_are_those_of_a_formula(pairs, prepared):
    fit = smf.ols(f"{FORMULA} + C(image)", prepared).fit()
    regression = regress(pairs, within="image")
    chosen = ["relation[amod]", "linear_distance", "subwords"]
    assert regression.terms["term"].tolist() == chosen
    np.testing.assert_allclose(found(regression, "estimate")[:, 0], fit.params.iloc[[1, -2, -1]])


def test_two_way_errors_are_never_below_one_way_errors(pairs, prepared):
    codes = np.column_stack([pd.factorize(prepared[c])[0] for c in ("prompt_id", "head_lemma")])
    fit = smf.ols(FORMULA, prepared).fit(cov_type="cluster", cov_kwds={"groups": codes})
    both, prompt, lemma = (
        found(regress(pairs, cluster=cluster), "standard_error")[:, 0]
        for cluster in (("prompt_id", "head_lemma"), "prompt_id", "head_lemma")
    )
    assert (both >= np.maximum(prompt, lemma)).all()
    # statsmodels also multiplies by (rows - 1) / (rows - terms)
    assert (both >= 0.99 * fit.bse.to_numpy()).all()
    assert (both > 1.001 * np.maximum(prompt, lemma)).any()


def test_fractional_logits_are_those_of_a_formula(pairs, prepared):
    model = smf.gee(FORMULA, "prompt_id", prepared, family=Binomial(), cov_struct=Independence())
    fit = model.fit(cov_type="bias_reduced")
    regression = regress(pairs, model="gee")
    expected = np.column_stack([fit.params, fit.bse])
    np.testing.assert_allclose(found(regression, "estimate", "standard_error"), expected, rtol=1e-6)


def test_mixed_models_are_those_of_a_formula(pairs, prepared):
    parts = {"group": "0 + C(relation)", "image": "0 + C(image)"}
    model = smf.mixedlm(FORMULA, prepared, groups="prompt_id", re_formula="1", vc_formula=parts)
    fit = model.fit(reml=True, method=["powell", "lbfgs"])
    regression = regress(pairs, model="mixed")
    expected = np.column_stack([fit.fe_params, fit.bse_fe])
    np.testing.assert_allclose(
        found(regression, "estimate", "standard_error"), expected, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("model", MODELS)
def test_models_find_an_effect_and_count_their_sample(pairs, model):
    pairs.loc[:4, "iou"] = np.nan
    regression = regress(pairs, model=model, areas=True)
    amod = regression.terms.set_index("term").loc["relation[amod]"]
    assert amod["low"] > 0
    assert amod["p"] < 0.05
    assert regression.terms["term"].tolist()[-2:] == ["log_head_area", "log_dependent_area"]
    assert (regression.n_pairs, regression.n_missing) == (len(pairs) - 5, 5)
    assert "12 prompts, 36 images" in repr(regression)


@pytest.mark.parametrize("model", MODELS)
def test_copies_of_pairs_are_not_new_prompts(pairs, model):
    once, twice = (
        regress(table, model=model)
        for table in (pairs, pd.concat([pairs, pairs], ignore_index=True))
    )
    # To the mixed model, copies are more pairs that show the effect of the image.
    ratio = found(twice, "standard_error")[:2, 0] / found(once, "standard_error")[:2, 0]
    assert (ratio > (0.85 if model == "mixed" else 0.99)).all()


def test_relations_of_few_prompts_are_terms_with_a_reason(pairs):
    rare = pairs[pairs["prompt_id"] < "p003"].assign(relation="nmod:of", kind="dependency")
    regression = regress(pd.concat([pairs, rare]))
    last = regression.terms.iloc[-1]
    assert (last["term"], last["reason"]) == (
        "relation[nmod:of]",
        "in only 3 prompts, and a group needs at least 5",
    )
    assert np.isnan(last["estimate"])
    assert found(regression, "estimate")[:4] == pytest.approx(
        found(regress(pairs), "estimate"), abs=0.02
    )


def test_groups_that_are_always_0_have_no_log_odds(pairs):
    zero = pairs[pairs["relation"] == "amod"].assign(relation="punct", iou=0.0)
    terms = regress(pd.concat([pairs, zero]), model="gee").terms
    assert terms.iloc[-1]["reason"] == "always 0: its log odds are infinite"
    assert np.isfinite(terms["estimate"][:4]).all()


@pytest.mark.parametrize("model", MODELS)
def test_impossible_fits_have_a_reason(pairs, model):
    same = regress(pairs.assign(head_subwords=1, dependent_subwords=1), model=model)
    few = regress(pairs[pairs["prompt_id"] < "p004"], model=model)
    for regression, reason in ((same, "subwords does not vary"), (few, "4 clusters, and")):
        assert not regression.converged
        assert reason in regression.reason
        assert regression.terms["estimate"].isna().all()
        assert regression.terms["reason"].ne("").all()
        assert "NOT FITTED" in repr(regression)


@pytest.fixture(scope="module")
def phrases():
    """Two noun phrases in each of 8 prompts, each of its own structure, with a value of words and one of prompts."""
    rng = np.random.default_rng(0)
    edges = [
        (2, 0, "det"),
        (2, 1, "amod"),
        (2, 6, "conj"),
        (6, 3, "cc"),
        (6, 4, "det"),
        (6, 5, "amod"),
    ]
    tables = []
    for i in range(8):
        adverbs = [(2, 7 + k, "advmod") for k in range(i)]
        pos = ["DET", "ADJ", "NOUN", "CCONJ", "DET", "ADJ", "NOUN", *["ADV"] * i]
        tables.append(sentence_rows(pos, [*edges, *adverbs], prompt=f"p{i:03}"))
    table = pd.concat(tables, ignore_index=True)
    words = rng.normal(5, 1, (8, 20))  # a value of every word
    prompts = table["prompt_id"].str[1:].astype(int)
    frequency = words[prompts, table["head_index"]] + words[prompts, table["dependent_index"]]
    return table.assign(iou=rng.uniform(size=len(table)), frequency=frequency, prompt=prompts / 7)


@pytest.mark.parametrize(
    ("covariate", "reference", "why"),
    [
        ("frequency", "exchanged", "cancels when partners are exchanged"),
        ("prompt", "unrelated", "the same for all pairs of an image"),
    ],
)
def test_what_cancels_is_not_fitted_on_its_rounding(phrases, covariate, reference, why):
    options = {"reference": reference, "accept": "all"}
    fit = regress_against(phrases, covariates=covariate, **options)
    terms = fit.terms.set_index("term")
    assert fit.converged
    assert np.isnan(terms.loc[covariate, "estimate"])
    assert why in terms.loc[covariate, "reason"]
    without = regress_against(phrases, covariates=(), **options).terms["estimate"]
    assert terms["estimate"].dropna().to_numpy() == pytest.approx(without.to_numpy(), rel=1e-12)

    alone = regress_against(phrases, by=None, covariates=covariate)  # exchanged
    assert (alone.converged, alone.reason) == (False, "no term is left")

    amod = phrases[phrases["relation"] == "amod"]  # the remedy that the reason names
    remedy = regress_against(amod, by=None, covariates=covariate, within=None)
    assert np.isfinite(remedy.terms["p"]).all()


def test_a_mixed_model_of_values_without_noise_gives_no_number(pairs):
    exact = pairs.assign(iou=np.where(pairs["relation"] == "amod", 0.5, 0.25))
    regression = regress(exact, model="mixed")
    assert not regression.converged
    assert regression.reason


def test_a_term_is_an_estimate(pairs):
    regression = regress(pairs, accept="all")
    row = regression.terms.set_index("term").loc["relation[amod]"]
    found = regression.estimate("relation[amod]", "amod")
    assert (found.label, found.estimate, found.low, found.p) == (
        "amod",
        row["estimate"],
        row["low"],
        row["p"],
    )
    assert (found.n_prompts, found.n_clusters) == (12, 12)
    with pytest.raises(ValueError, match=r"Expected one of the terms intercept, .*, but got 'det'"):
        regression.estimate("det")


def test_invalid_arguments_are_named(pairs):
    with pytest.raises(ValueError, match="got 'lasso'"):
        regress(pairs, model="lasso")
    with pytest.raises(ValueError, match="the reference 'none'"):
        regress(pairs, reference="none")
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        regress(pairs.assign(iou=pairs["iou"] * 7), model="gee")
    with pytest.raises(ValueError, match='"ols", which takes two'):
        regress(pairs, model="mixed", cluster=("prompt_id", "head_lemma"))
    with pytest.raises(ValueError, match="the columns 'tree_depth'"):
        regress(pairs, covariates=["tree_depth"])
