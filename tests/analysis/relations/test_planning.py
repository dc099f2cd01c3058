"""Plans of studies know what an adjustment for distance costs."""

import numpy as np
import pytest

from daam_syntax.analysis import (
    estimate_relations,
    exchange_partners,
    prompt_means,
    relation_components,
    variance_components,
)
from helpers.simulated import phrase_pairs


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    table = phrase_pairs(n_prompts=20, n_images=2)
    prompts = rng.normal(0, 0.1, 20)[table["prompt_id"].str[1:].astype(int)]
    amod = table["relation"].eq("amod")
    return table.assign(iou=0.3 + amod * (0.2 + prompts) + rng.normal(0, 0.05, len(table)))


def test_variances_are_those_of_the_difference_times_what_the_adjustment_costs(pairs):
    sides = exchange_partners(pairs).sides("amod")
    plain = variance_components(*sides)
    found = relation_components(pairs, "amod")
    estimate = estimate_relations(pairs, accept=("place",))["amod"].estimate
    values = prompt_means(sides[0], "iou") - prompt_means(sides[1], "iou")
    inflation = (estimate.standard_error / (values.std() / np.sqrt(20))) ** 2
    assert inflation > 1.02
    assert found.between_prompts == pytest.approx(inflation * plain.between_prompts)
    assert found.within_prompts == pytest.approx(inflation * plain.within_prompts)
    assert found.difference == estimate.estimate
    assert (found.n_prompts, found.n_images) == (20, 40)


def test_relations_without_exchanged_pairs_are_named(pairs):
    with pytest.raises(ValueError, match=r"exchanged pairs \(.*amod.*\), but got 'nsubj'"):
        relation_components(pairs, "nsubj")
