"""Regressions of nested data, against values that R 4.2 gave (lme4, sandwich, clubSandwich) for `nested.csv`."""

from pathlib import Path

import pandas as pd
import pytest

from daam_syntax.analysis import regress

DATA = Path(__file__).with_name("nested.csv")


@pytest.fixture(scope="module")
def nested():
    """248 pairs, 36 images, 12 prompts: a dependency against unrelated pairs."""
    return pd.read_csv(DATA)


def fit(nested, **options):
    chosen = {"by": "kind", "reference": "unrelated", "accept": "all"}
    covariates = {"covariates": ("linear_distance", "subwords")}
    return regress(nested, **{**chosen, **covariates, **options})


def term(regression):
    return regression.terms.set_index("term").loc["kind[dependency]"]


def test_errors_of_least_squares_are_cr2_with_satterthwaite_degrees(nested):
    found = term(fit(nested, within=None))
    assert found["estimate"] == pytest.approx(0.063671, abs=5e-7)
    assert found["standard_error"] == pytest.approx(0.02921, abs=5e-6)
    assert found["degrees"] == pytest.approx(10.89, abs=5e-3)
    assert found["p"] == pytest.approx(0.0521, abs=5e-5)


def test_fixed_effects_of_images(nested):
    found = term(fit(nested))
    assert found["estimate"] == pytest.approx(0.06880, abs=5e-6)
    assert found["standard_error"] == pytest.approx(0.02520, abs=5e-6)
    assert found["degrees"] == pytest.approx(10.85, abs=5e-3)
    assert found["p"] == pytest.approx(0.0198, abs=5e-5)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_mixed_models_have_random_intercepts_of_prompts_at_any_scale_of_the_outcome(nested, scale):
    found = term(fit(nested.assign(iou=nested["iou"] * scale), model="mixed", within=None))
    assert found["estimate"] / scale == pytest.approx(0.06134, rel=0.02)
    assert found["standard_error"] / scale == pytest.approx(0.02445, rel=0.02)


def test_two_way_errors_are_not_below_the_one_way_error(nested):
    one = term(fit(nested, within=None))["standard_error"]
    both = term(fit(nested, within=None, cluster=("prompt_id", "head_lemma")))["standard_error"]
    assert both >= one
