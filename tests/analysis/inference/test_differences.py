"""Differences within images, between paired prompts, and between groups of prompts; their balance and equivalence."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from daam_syntax.analysis import balance, estimate_difference
from helpers.simulated import pair_table, phrase_pairs


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def prompts(values, first=0, **columns):
    """Return a table with one image and one pair per prompt."""
    table = pair_table({f"p{first + i:03}": [[v]] for i, v in enumerate(values)}, **columns)
    return table.assign(image=np.arange(first, first + len(values)))


# Pairing


def test_images_that_differ_as_wholes_do_not_matter_where_one_side_is_missing():
    """One seed of two has no measurable pair, and overlaps 0.4 more throughout: the difference is 0."""
    control = pair_table({f"p{i}": [[0.2 + 0.01 * i], [0.6 + 0.01 * i]] for i in range(12)})
    pairs = control.copy()
    pairs.loc[pairs["image"] % 2 == 1, "iou"] = np.nan
    found = estimate_difference(pairs, control)
    assert found.estimate == pytest.approx(0, abs=1e-12)
    assert not found.p <= 0.05
    unpaired = estimate_difference(pairs, control, paired_by="prompt_id")
    assert unpaired.estimate == pytest.approx(-0.2)


def test_prompts_are_paired_by_a_column(rng):
    pairs = [f"pair{i}" for i in range(9)]
    first, second = rng.random((2, 9))
    related = prompts(first, pair=pairs)
    unrelated = prompts(second, first=20, pair=pairs)
    found = estimate_difference(related, unrelated, paired_by="pair")
    expected = estimate_difference(prompts(first), prompts(second))
    assert (found.estimate, found.low, found.high, found.p) == pytest.approx(
        (expected.estimate, expected.low, expected.high, expected.p)
    )
    assert (found.n_clusters, found.n_prompts) == (9, 9)
    assert estimate_difference(related, unrelated).reason == "no prompt has both sides"
    with pytest.raises(ValueError, match="Expected the column template on both sides"):
        estimate_difference(related, unrelated, paired_by="template")


def test_groups_of_prompts_are_compared_by_permuting_prompts(rng):
    first, second = rng.normal(0.6, 0.1, 14), rng.normal(0.45, 0.2, 9)
    found = estimate_difference(prompts(first), prompts(second, first=50), paired_by=None)
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert found.p == pytest.approx(welch.pvalue, abs=0.01)
    ends = welch.confidence_interval()
    np.testing.assert_allclose((found.low, found.high), (ends.low, ends.high), atol=0.03)
    assert (found.low > 0 or found.high < 0) == (found.p <= 0.05)
    assert found.n_clusters == 9
    same = prompts(first)
    with pytest.raises(
        ValueError, match=r'14 prompts .* are on both sides: pair them, with paired_by="image"'
    ):
        estimate_difference(same, same, paired_by=None)


def test_groups_of_templates_are_compared_by_permuting_templates(rng):
    values = np.repeat(rng.random(12), 5)
    table = prompts(values, template=np.repeat([f"t{i}" for i in range(12)], 5))
    first, second = table[:30], table[30:]
    found = estimate_difference(first, second, paired_by=None, cluster="template")
    assert found.n_clusters == 6
    naive = estimate_difference(first, second, paired_by=None)
    assert found.high - found.low > 1.5 * (naive.high - naive.low)


def test_a_group_of_few_prompts_has_no_test():
    found = estimate_difference(prompts([0.1] * 4), prompts([0.2] * 9, first=10), paired_by=None)
    assert found.reason == "4 prompts in one group, and an interval needs at least 5"
    assert np.isnan(found.p)


# Equivalence


@pytest.mark.parametrize("paired_by", ["image", None])
def test_equivalence_needs_a_difference_that_is_surely_within_the_margin(rng, paired_by):
    first, second = rng.normal(0.5, 0.05, (2, 20))
    sides = prompts(first), prompts(second, first=0 if paired_by else 50)
    near = estimate_difference(*sides, paired_by=paired_by, margin=0.2)
    assert near.p_equivalent < 0.01
    assert near.p > 0.05
    far = estimate_difference(*sides, paired_by=paired_by, margin=0.001)
    assert far.p_equivalent > 0.4
    assert "equivalence p" in repr(near)
    assert np.isnan(estimate_difference(*sides, paired_by=paired_by).p_equivalent)


def test_equivalence_is_the_larger_of_two_one_sided_tests(rng):
    values = rng.normal(0.03, 0.1, 40)
    found = estimate_difference(prompts(values), prompts(np.zeros(40)), margin=0.08)
    tests = [
        stats.ttest_1samp(values, -0.08, alternative="greater").pvalue,
        stats.ttest_1samp(values, 0.08, alternative="less").pvalue,
    ]
    assert found.p_equivalent == pytest.approx(max(tests), abs=0.01)


def test_few_prompts_cannot_show_equivalence():
    found = estimate_difference(prompts([0.1] * 3 + [0.11]), prompts([0.1] * 4), margin=0.5)
    assert found.p_equivalent == pytest.approx(2**-4)
    with pytest.raises(ValueError, match="Expected a positive margin"):
        estimate_difference(prompts([0.1]), prompts([0.1]), margin=0)


# Balance


@pytest.fixture
def words(rng):
    table = phrase_pairs(n_prompts=15)
    return table.assign(iou=rng.random(len(table)), head_area=0.2, dependent_area=0.2)


def split(words):
    return words[words["relation"] == "amod"], words[words["kind"] == "unrelated"]


def test_a_difference_with_unbalanced_sides_has_no_p_value(words):
    found = estimate_difference(*split(words))
    assert np.isnan(found.p)
    assert set(found.imbalances) == {"distance", "place", "part of speech"}
    assert "not tested: the sides differ in" in repr(found)
    assert found.low < found.estimate < found.high
    accepted = estimate_difference(*split(words), accept="all")
    assert 0 < accepted.p <= 1
    assert accepted.imbalances == found.imbalances
    partly = estimate_difference(*split(words), accept=("distance", "place"))
    assert partly.untested == "the sides differ in part of speech"
    with pytest.raises(ValueError, match="Expected properties among distance, place, part of"):
        estimate_difference(*split(words), accept="color")


@pytest.mark.parametrize("n_prompts", [5, 6, 15])
def test_sides_that_differ_by_nature_are_unbalanced_however_few_prompts_there_are(rng, n_prompts):
    """With five prompts no sign flips are below 0.05, which is no evidence of balance."""
    table = phrase_pairs(n_prompts=n_prompts)
    table = table.assign(iou=rng.random(len(table)), head_area=0.2, dependent_area=0.2)
    different = [
        split(table),
        (table[table["relation"] == "amod"], table[table["relation"] == "det"]),
    ]
    for sides in different:
        assert "part of speech" in balance(*sides).imbalances
        assert np.isnan(estimate_difference(*sides).p)
    amod, _ = split(table)
    for kind in ("matched", "crossed"):
        alike = amod.assign(kind=kind, linear_distance=4)
        certain = () if n_prompts == 5 else ("distance",)
        assert balance(amod, alike).imbalances == certain


@pytest.mark.parametrize(
    ("column", "name", "shift"),
    [
        ("head_area", "area", 0.1),
        ("dependent_area", "area", 0.1),
        ("head_subwords", "subwords", 0.2),
        ("linear_distance", "distance", -1.0),
        ("head_index", "place", 1.0),
    ],
)
def test_an_imbalance_is_found_in_every_property(words, rng, column, name, shift):
    amod = words[words["relation"] == "amod"]
    other = amod.assign(iou=rng.random(len(amod)))
    assert balance(amod, other).imbalances == ()
    moved = other.assign(**{column: other[column] + shift * (1 + rng.random(len(other)))})
    found = balance(amod, moved)
    assert found.imbalances == (name,)
    assert f"the sides differ in {name}" in repr(found)
    assert found.p == pytest.approx(1 / 1000)


def test_areas_are_no_covariate_of_areas(words):
    amod = words[words["relation"] == "amod"].assign(log_area_ratio=0.1)
    other = amod.assign(head_area=0.3)
    assert estimate_difference(amod, other).imbalances == ("area",)
    assert estimate_difference(amod, other, "log_area_ratio").imbalances == ()


def test_balanced_sides_are_rarely_called_unbalanced():
    """However many covariates there are: 5 percent at most."""
    rng = np.random.default_rng(3)
    fired = 0
    for _ in range(200):
        first = phrase_pairs(n_prompts=10, n_images=1, n_phrases=2)
        first = first[first["relation"].isin(["amod", "det"])]
        noise = {
            name: rng.integers(1, 4, (2, len(first)))
            for name in ("head_subwords", "dependent_subwords")
        }
        areas = {name: rng.random((2, len(first))) for name in ("head_area", "dependent_area")}
        sides = [
            first.assign(**{name: values[k] for name, values in (noise | areas).items()})
            for k in range(2)
        ]
        fired += bool(balance(*sides).imbalances)
    assert fired <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)


def test_groups_of_prompts_are_balanced_by_permutation(words):
    first = words[(words["prompt_id"] < "p007") & (words["relation"] == "amod")]
    second = words[(words["prompt_id"] >= "p007") & (words["relation"] == "amod")]
    assert estimate_difference(first, second, paired_by=None).imbalances == ()
    nouns = words[(words["prompt_id"] >= "p007") & (words["relation"] == "conj")]
    found = estimate_difference(first, nouns, paired_by=None)
    assert "part of speech" in found.imbalances
    assert np.isnan(found.p)


def test_a_direction_needs_a_control_with_roles(words):
    with pytest.raises(
        ValueError, match="a control whose words have roles, because iod depends on"
    ):
        estimate_difference(*split(words.assign(iod=0.5, ioh=0.5)), "iod")


def test_infinite_values_are_refused(words):
    amod, control = split(words)
    amod = amod.assign(iou=np.where(np.arange(len(amod)) == 2, np.inf, amod["iou"]))
    with pytest.raises(ValueError, match="finite values of iou, but 1 row of 90 is infinite"):
        estimate_difference(amod, control)


@pytest.mark.parametrize(("n_control", "is_tested"), [(1, True), (12, False)])
def test_skewed_values_are_not_tested_against_many_more_pairs(rng, n_control, is_tested):
    """One pair beside many: where 85 % of the overlaps are 0, most differences are negative without any effect."""

    def overlaps(n):
        return rng.random(n) * (rng.random(n) < 0.15)

    p_values, found = [], None
    for _ in range(40):
        sides = [pair_table({f"p{i:02}": [overlaps(n)] for i in range(9)}) for n in (1, n_control)]
        found = estimate_difference(*sides, accept="all", n_resamples=199)
        p_values.append(found.p)
    assert found is not None
    if is_tested:
        assert np.nanmean(np.array(p_values) <= 0.05) <= 0.15
        assert np.isfinite(p_values).mean() > 0.9
    else:
        assert np.isnan(p_values).mean() > 0.9
        assert "skewed without any effect" in found.untested
        assert "exchange partners" in found.reason
        assert np.isnan([found.low, found.high]).all()


def test_differences_of_tables_without_words_have_nothing_to_balance():
    table = prompts([0.1, 0.3, 0.2, 0.5, 0.4, 0.6])
    found = estimate_difference(table, table.assign(iou=0.0))
    assert found.imbalances == ()
    assert found.p == pytest.approx(2**-5)
    assert isinstance(balance(table, table).table, pd.DataFrame)
