import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daam_syntax.errors import ThresholdError
from daam_syntax.maps import Threshold, parse_threshold
from daam_syntax.maps.thresholds import RULES
from helpers.examples import box

EXAMPLES = [rule.example for rule in RULES.values()]
MAPS = np.random.default_rng(0).random((3, 5, 8)) ** 3


def test_threshold_rules():
    maps = np.stack([box(0, 1, 0, 6, value=0.5), box(0, 2, 0, 6, value=0.1)])
    maps[:, 0, 0] = 1.0
    assert parse_threshold("relative:0.4").apply(maps).sum(axis=(1, 2)).tolist() == [6, 1]
    assert parse_threshold("absolute:0.05").apply(maps).sum(axis=(1, 2)).tolist() == [6, 12]
    relative = parse_threshold("relative:0.4")
    np.testing.assert_array_equal(relative.apply(maps), relative.apply(maps * 0.01))
    assert not parse_threshold("relative:0").apply(np.zeros((4, 6))).any()
    # A value at the cut is not above it.
    assert not parse_threshold("absolute:0.5").apply(np.full((2, 3), 0.5)).any()


def test_threshold_text_round_trips():
    for text in EXAMPLES:
        assert str(parse_threshold(text)) == text
    assert parse_threshold(parse_threshold("relative:0.3")).value == 0.3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("median:0.4", "such as relative:0.4, absolute:0.15, .* but got 'median'"),
        ("relative", "such as relative:0.4"),
        ("relative:half", "but got 'relative:half'"),
        ("relative:1", "from 0 to below 1"),
        ("absolute:-0.1", "got -0.1"),
        ("relative:nan", "got nan"),
        ("otsu:0.5", "otsu without a value"),
        ("notebook:0", "notebook:30, but got 'notebook:0'"),
        ("paper:0.3", "but got 'paper'"),
    ],
)
def test_threshold_errors_list_the_valid_rules(rule, message):
    with pytest.raises(ThresholdError, match=message):
        parse_threshold(rule)


def test_close_thresholds_have_different_texts():
    texts = ("relative:0.3333333333", "relative:0.33333331", "absolute:0.00001", "relative:0")
    assert [str(parse_threshold(text)) for text in texts] == list(texts)


def test_each_rule_on_a_map_of_ten_values():
    ramp = np.linspace(0.1, 1.0, 10).reshape(2, 5)

    def area(rule):
        return int(parse_threshold(rule).apply(ramp).sum())

    assert area("minmax:0.5") == 5  # above 0.55
    assert area("relative:0.55") == 5
    assert area("quantile:0.7") == 3
    assert area("quantile:0") == 9  # all but the smallest
    assert area("otsu") == 5


def test_quantiles_give_equal_areas():
    for value in (0.1, 0.5, 0.8, 0.95):
        areas = Threshold("quantile", value).apply(MAPS).sum(axis=(1, 2))
        assert areas.tolist() == [40 - int(np.ceil(value * 40))] * 3


def otsu_by_brute_force(values):
    """The mask with the least variance within its two classes, over all cuts."""
    best, kept = np.inf, np.zeros(len(values), bool)
    for cut in np.unique(values)[:-1]:
        above = values > cut
        within = above.sum() * values[above].var() + (~above).sum() * values[~above].var()
        if within < best - 1e-12:
            best, kept = within, above
    return kept, best


@given(arrays(float, (2, 3, 4), elements=st.integers(0, 9).map(lambda n: n / 10)))
def test_otsu_against_all_cuts(maps):
    masks = parse_threshold("otsu").apply(maps)
    for values, mask in zip(maps.reshape(2, -1), masks.reshape(2, -1), strict=True):
        _, best = otsu_by_brute_force(values)
        if mask.any():
            within = mask.sum() * values[mask].var() + (~mask).sum() * values[~mask].var()
            assert within == pytest.approx(best, abs=1e-9)
            assert values[mask].min() > values[~mask].max()
        else:
            assert np.ptp(values) == 0


@pytest.mark.parametrize("text", EXAMPLES)
def test_rules_are_invariant_exactly_as_declared(text):
    rule = parse_threshold(text)
    claimed = RULES[rule.rule]
    masks = rule.apply(MAPS)
    assert claimed.scale == np.array_equal(rule.apply(MAPS * 0.25), masks)
    assert claimed.shift == np.array_equal(rule.apply(MAPS + 2.0), masks)
    order = np.random.default_rng(1).permutation(40)
    shuffled = MAPS.reshape(3, 40)[:, order].reshape(3, 5, 8)
    np.testing.assert_array_equal(
        rule.apply(shuffled), masks.reshape(3, 40)[:, order].reshape(3, 5, 8)
    )
    np.testing.assert_array_equal(rule.apply(MAPS[1]), masks[1])  # the same alone and in a stack
    np.testing.assert_array_equal(rule.apply(MAPS[None]), masks[None])


@pytest.mark.parametrize("text", EXAMPLES)
def test_maps_of_zeros_and_constant_maps(text):
    rule = parse_threshold(text)
    assert not rule.apply(np.zeros((2, 4, 6))).any()
    flat = np.full((4, 6), 0.3, np.float32)
    flat[1, 2] += 2e-8  # a rounding error
    assert rule.apply(flat).any() != RULES[rule.rule].shift
    assert rule.apply(np.ones((1, 1, 1))).any() != RULES[rule.rule].shift


def test_conventions_are_rules():
    assert str(parse_threshold("paper")) == "relative:0.4"
    assert str(parse_threshold("notebook")) == "absolute:0.005"
    assert str(parse_threshold("notebook:50")) == "absolute:0.003"


def test_the_notebook_rule_cuts_sums_over_steps():
    steps = np.random.default_rng(2).random((30, 4, 6, 8)) * 0.01  # 30 steps of four words
    rule = parse_threshold("notebook")
    np.testing.assert_array_equal(rule.apply(steps.mean(axis=0)), steps.sum(axis=0) > 0.15)
