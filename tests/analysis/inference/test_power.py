"""Power against the formula for t tests, and variance components against known values."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower

from daam_syntax.analysis import VarianceComponents, power_table, variance_components
from helpers.simulated import pair_table, random_pairs, sides


def test_power_is_that_of_a_t_test_on_the_prompts_means():
    pilot = VarianceComponents(0.05, 0.004, 0.012, 10, 30)
    table = power_table(pilot, prompts=(8, 20, 60), seeds=(1, 3))
    for row in table.itertuples():
        dz = 0.05 / np.sqrt(0.004 + 0.012 / row.n_seeds)
        expected = TTestPower().power(dz, row.n_prompts, 0.05)
        assert row.power == pytest.approx(expected, abs=0.04)
        assert row.low < row.power < row.high
        assert row.n_images == row.n_prompts * row.n_seeds


def test_without_an_effect_one_study_in_twenty_finds_one():
    table = power_table(VarianceComponents(0.2, 0.01, 0.02, 10, 30), effects=[0.0], seeds=[2])
    assert table["power"].between(0.03, 0.07).all()


def test_power_of_the_first_finding_of_a_family():
    """The threshold of the smallest p-value of ten tests is a tenth of alpha."""
    pilot = VarianceComponents(0.05, 0.004, 0.012, 10, 30)
    alone, first = (
        power_table(pilot, prompts=[30], seeds=[3], family=n)["power"].item() for n in (1, 10)
    )
    expected = TTestPower().power(0.05 / np.sqrt(0.004 + 0.012 / 3), 30, 0.005)
    assert first == pytest.approx(expected, abs=0.04)
    assert first < alone - 0.15
    # eight prompts cannot give p below 2 ** -7 = 0.0078, which is above 0.05 / 10
    assert power_table(pilot, prompts=[8], seeds=[3], family=10)["power"].item() == 0
    with pytest.raises(ValueError, match="family of at least one test, but got 0"):
        power_table(pilot, family=0)


def test_more_seeds_cannot_replace_prompts():
    pilot = VarianceComponents(0.1, 0.04, 0.01, 10, 30)
    table = power_table(pilot, prompts=(10, 40), seeds=(1, 100)).set_index(["n_prompts", "n_seeds"])
    assert table.loc[(10, 100), "power"] < table.loc[(40, 1), "power"]


def test_variance_components_by_hand():
    relation = pair_table({"a": [[0.5], [0.3]], "b": [[0.9], [0.7]]})
    control = pair_table({"a": [[0.1], [0.1]], "b": [[0.1], [0.1]]})
    found = variance_components(relation, control)
    # within: 0.02 each; means 0.3 and 0.7 have variance 0.08, and 0.02 / 2 of it comes from images
    assert found.difference == pytest.approx(0.5)
    assert found.within_prompts == pytest.approx(0.02)
    assert found.between_prompts == pytest.approx(0.07)
    assert (found.n_prompts, found.n_images) == (2, 4)


def test_variance_components_of_simulated_pairs():
    rng = np.random.default_rng(0)
    pairs = random_pairs(rng, n_prompts=400, n_images=3, n_pairs=2, effect=0.05, spread=0.04)
    found = variance_components(*sides(pairs))
    # each side has a prompt effect of deviation 0.02 and two pairs of deviation 0.04
    assert found.between_prompts == pytest.approx(2 * 0.02**2, rel=0.3)
    assert found.within_prompts == pytest.approx(2 * 0.04**2 / 2, rel=0.15)
    assert found.difference == pytest.approx(0.05, abs=0.005)


def test_pilots_without_repetition_are_refused():
    single = pair_table({"a": [[0.5]], "b": [[0.9]]})
    with pytest.raises(ValueError, match="2 prompts with up to 1 images"):
        variance_components(single, single)
    apart = single.assign(prompt_id="elsewhere")
    with pytest.raises(ValueError, match="0 prompts"):
        variance_components(pd.concat([single]), apart)
