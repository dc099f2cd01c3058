"""Measures of maps without a threshold, of breadth and of binding; and what the registry says of all measures."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats
from scipy.spatial import distance

from daam_syntax.maps import measures
from daam_syntax.maps.measures import (
    BINDING_MEASURES,
    BREADTH_MEASURES,
    DEFAULT_PAIR_MEASURES,
    PAIR_MEASURES,
    PackedMasks,
    binding,
    breadth,
    choose,
    masks,
    measure_maps,
    measure_masks,
    soft,
    soft_iou,
)
from daam_syntax.maps.thresholds import Threshold
from helpers.examples import box

A, B = box(0, 2, 0, 4), box(0, 2, 2, 6)  # 8 pixels each, 4 shared
EMPTY = np.zeros((4, 6))
SOFT = [m for m in PAIR_MEASURES.values() if m.kind == "soft"]
RANDOM = np.random.default_rng(0).random((5, 7, 9)) ** 3
HEAD, DEPENDENT = RANDOM[0], RANDOM[1]

small_maps = arrays(float, (2, 4, 5), elements=st.integers(0, 20).map(lambda n: n / 20))


def unit(m):
    return m.ravel() / m.sum()


def layer_cake(first, second, base):
    """Areas of masks at very many relative thresholds, summed: independent of sums of minima."""
    first, second, base = (m / m.max() for m in (first, second, base))
    cuts = (np.arange(20_000) + 0.5)[:, None] / 20_000
    shared = (first.ravel() > cuts) & (second.ravel() > cuts)
    return shared.sum() / (base.ravel() > cuts).sum()


def cells(shape):
    return np.argwhere(np.ones(shape)) / np.hypot(*shape)


PAIR_REFERENCES = {
    "soft_iou": lambda h, d: sum(map(min, unit(h), unit(d))) / sum(map(max, unit(h), unit(d))),
    "soft_iod": lambda h, d: layer_cake(h, d, d),
    "soft_ioh": lambda h, d: layer_cake(h, d, h),
    "cosine": lambda h, d: 1 - distance.cosine(h.ravel(), d.ravel()),
    "pearson": lambda h, d: stats.pearsonr(h.ravel(), d.ravel())[0],
    "spearman": lambda h, d: stats.spearmanr(h.ravel(), d.ravel())[0],
    "jensen_shannon": lambda h, d: distance.jensenshannon(h.ravel(), d.ravel(), base=2) ** 2,
    "bhattacharyya": lambda h, d: sum(
        (x * y) ** 0.5 for x, y in zip(unit(h), unit(d), strict=True)
    ),
    "centroid_distance": lambda h, d: (
        np.linalg.norm(np.subtract(ndimage.center_of_mass(h), ndimage.center_of_mass(d)))
        / np.hypot(*h.shape)
    ),
    "earth_movers": lambda h, d: stats.wasserstein_distance_nd(
        cells(h.shape), cells(d.shape), h.ravel(), d.ravel()
    ),
}


@pytest.mark.parametrize("name", [m.name for m in SOFT])
def test_soft_measures_against_independent_references(name):
    function, reference = PAIR_MEASURES[name].function, PAIR_REFERENCES[name]
    ties = np.round(RANDOM * 4)
    for h, d in [(HEAD, DEPENDENT), (A, B), (ties[2], ties[3]), (RANDOM[4], RANDOM[4] ** 2)]:
        assert function(h, d) == pytest.approx(
            reference(h, d), abs=2e-4 if "soft_io" in name else 1e-7
        )
    # stacks broadcast
    np.testing.assert_allclose(
        function(RANDOM, HEAD), [function(m, HEAD) for m in RANDOM], atol=1e-12
    )
    np.testing.assert_allclose(
        function(HEAD, RANDOM[None]), [[function(HEAD, m) for m in RANDOM]], atol=1e-12
    )


def moran_by_loop(m):
    z = m - m.mean()
    pairs = [
        (p, q)
        for p in np.ndindex(m.shape)
        for q in np.ndindex(m.shape)
        if abs(p[0] - q[0]) + abs(p[1] - q[1]) == 1
    ]
    return m.size / len(pairs) * sum(z[p] * z[q] for p, q in pairs) / (z**2).sum()


def area_90_by_loop(m):
    held, n = 0.0, 0
    for value in sorted(m.ravel(), reverse=True):
        held, n = held + value, n + 1
        if held >= (0.9 - 1e-9) * m.sum():
            return n / m.size
    raise AssertionError


def spread_by_loop(m):
    centre = np.array(ndimage.center_of_mass(m))
    total = sum(m[p] * ((np.array(p) - centre) ** 2).sum() for p in np.ndindex(m.shape))
    return (total / m.sum()) ** 0.5 / np.hypot(*m.shape)


BREADTH_REFERENCES = {
    "entropy": lambda m: stats.entropy(m.ravel(), base=m.size),
    "effective_area": lambda m: np.exp(stats.entropy(m.ravel())) / m.size,
    # half of the mean difference between pixels, relative to the mean
    "gini": lambda m: np.abs(m.ravel()[:, None] - m.ravel()).mean() / m.mean() / 2,
    "area_90": area_90_by_loop,
    "spread": spread_by_loop,
    "moran": moran_by_loop,
}


@pytest.mark.parametrize("name", BREADTH_MEASURES)
def test_breadth_against_independent_references(name):
    function, reference = BREADTH_MEASURES[name].function, BREADTH_REFERENCES[name]
    expected = [reference(m) for m in RANDOM]
    np.testing.assert_allclose(function(RANDOM), expected)
    np.testing.assert_allclose(function(RANDOM[None].astype(np.float32)), [expected], rtol=1e-5)
    assert function(A) == pytest.approx(reference(A.astype(float)))


def test_breadth_of_hand_made_maps():
    flat, point = np.full((4, 6), 0.2), box(1, 2, 3, 4)
    assert measures.entropy(flat) == pytest.approx(1)
    assert measures.entropy(point) == 0
    assert measures.effective_area(A) == pytest.approx(8 / 24)
    assert measures.effective_area(point) == pytest.approx(1 / 24)
    assert measures.gini(flat) == pytest.approx(0)
    assert measures.gini(point) == pytest.approx(23 / 24)
    assert measures.area_90(np.ones((2, 5))) == pytest.approx(0.9)
    assert measures.spread(point) == 0
    corners = box(0, 1, 0, 1) + box(3, 4, 5, 6)
    assert measures.spread(corners) == pytest.approx(np.hypot(1.5, 2.5) / np.hypot(4, 6))
    checkerboard = np.indices((4, 6)).sum(axis=0) % 2
    assert measures.moran(checkerboard) == pytest.approx(-1)
    # entropy does not see where pixels are, the spread does
    assert measures.entropy(corners) == pytest.approx(float(measures.entropy(box(0, 1, 0, 2))))
    assert measures.spread(corners) > 3 * measures.spread(box(0, 1, 0, 2))


def test_soft_overlap_of_hand_made_maps():
    assert soft_iou(A, B) == pytest.approx(1 / 3)  # equal areas: the same as the IoU
    assert soft_iou(A, 1 - A) == 0
    assert soft_iou(A, 7.0 * A) == pytest.approx(1)
    assert soft_iou(np.stack([A, B]), A).tolist() == pytest.approx([1, 1 / 3])
    part = box(0, 1, 0, 4, value=0.3)  # half of A, whatever its strength
    assert measures.soft_iod(A, part) == pytest.approx(1)
    assert measures.soft_ioh(A, part) == pytest.approx(0.5)
    # one column is a sixth of the width away, and mass has to travel two
    assert measures.centroid_distance(A, B) == pytest.approx(2 / np.hypot(4, 6))
    assert measures.earth_movers(A, B) == pytest.approx(2 / np.hypot(4, 6))


def call(measure, h, d):
    if measure.kind == "breadth":
        return float(measure.function(h))
    return float(measure.function(h, d))


@given(small_maps)
@settings(max_examples=60, deadline=None)
def test_ranges_symmetry_and_missing_values(two):
    for measure in [*SOFT, *BREADTH_MEASURES.values()]:
        value = call(measure, *two)
        involved = two if measure.kind == "soft" else two[:1]
        empty = involved.sum(axis=(1, 2)).min() == 0
        constant = "constant" in measure.undefined and np.ptp(involved, axis=(1, 2)).min() == 0
        assert np.isnan(value) == (empty or constant), measure.name
        if not np.isnan(value):
            assert measure.low - 1e-9 <= value <= measure.high + 1e-9, measure.name
            if measure.symmetric:
                assert value == pytest.approx(call(measure, *two[::-1]), abs=1e-9), measure.name


ALL = [*PAIR_MEASURES.values(), *BREADTH_MEASURES.values()]


def of_maps(measure, h, d):
    """A measure of two maps; for one of masks, by a rule that has every invariance."""
    if measure.kind != "binary":
        return call(measure, h, d)
    cuts = zip((0.7, 0.4), (h, d), strict=True)  # areas that differ
    masks = PackedMasks(np.stack([Threshold("quantile", cut).apply(m) for cut, m in cuts]))
    return measure_masks(masks, np.array([0]), np.array([1]), [measure])[measure.name][0]


@pytest.mark.parametrize("measure", ALL, ids=lambda m: m.name)
def test_measures_are_invariant_to_exactly_what_they_claim(measure):
    value = of_maps(measure, HEAD, DEPENDENT)
    order = np.random.default_rng(1).permutation(63)
    changed = {
        "scale": (HEAD * 0.3, DEPENDENT * 5.0),
        "shift": (HEAD + 0.5, DEPENDENT + 1.0),
        "pixels": [m.ravel()[order].reshape(7, 9) for m in (HEAD, DEPENDENT)],
    }
    if measure.kind == "binary":
        del changed["scale"], changed["shift"]  # these are the rule's
    found = {how for how, two in changed.items() if of_maps(measure, *two) == pytest.approx(value)}
    assert found == measure.invariant


@pytest.mark.parametrize("measure", PAIR_MEASURES.values(), ids=lambda m: m.name)
def test_measures_are_symmetric_exactly_where_they_claim(measure):
    if measure.kind == "binary":
        shared, head, dependent = (np.array([n]) for n in (5, 9, 20))
        there = measure.function(shared, head, dependent, 63)
        back = measure.function(shared, dependent, head, 63)
    else:
        there, back = measure.function(HEAD, DEPENDENT), measure.function(DEPENDENT, HEAD)
    assert measure.symmetric == (there == pytest.approx(back))


@given(arrays(bool, (2, 3, 4)))
def test_binary_measures_are_bounded_and_missing_where_they_say(two):
    masks = PackedMasks(two)
    found = measure_masks(masks, np.array([0]), np.array([1]), PAIR_MEASURES.values())
    assert list(found) == [m.name for m in PAIR_MEASURES.values() if m.kind == "binary"]
    for name, (value,) in found.items():
        measure = PAIR_MEASURES[name]
        empty = "empty" in measure.undefined and masks.areas.min() == 0
        full = "everything" in measure.undefined and masks.areas.max() == 12
        assert np.isnan(value) == (empty or full), name
        assert np.isnan(value) or measure.low - 1e-12 <= value <= measure.high + 1e-12, name


def test_many_pairs_are_measured_as_one_is():
    words = np.random.default_rng(3).random((6, 40, 50)).astype(np.float32)
    words[4] = 0
    head, dependent = np.indices((6, 6)).reshape(2, -1)
    chosen = [m for m in SOFT if m.name != "earth_movers"]
    found = measure_maps(words, np.tile(head, 20), np.tile(dependent, 20), chosen)
    for measure in chosen:
        expected = [call(measure, words[i], words[j]) for i, j in zip(head, dependent, strict=True)]
        np.testing.assert_allclose(found[measure.name], expected * 20, atol=1e-12)
    none = np.zeros(0, int)
    assert measure_maps(words, none, none, chosen)["cosine"].shape == (0,)


def test_the_mass_of_a_large_map_is_gathered_where_it_is():
    wide = np.zeros((40, 100))
    wide[10:20, 40:60] = 1.0
    moved = np.roll(wide, 25, axis=1)  # by exactly four of the sixteen cells
    assert measures.earth_movers(wide, moved) == pytest.approx(4 / np.hypot(16, 16))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"daam-syntax\[transport\]"):
        measures.earth_movers(A, B)


def test_measures_are_chosen_by_name():
    assert [m.name for m in choose(["iou", "cosine", "iou"], PAIR_MEASURES)] == ["iou", "cosine"]
    assert [m.name for m in choose("phi", PAIR_MEASURES)] == ["phi"]
    with pytest.raises(ValueError, match=r"among iou, .*spearman.* but got 'kappa', 'tau'"):
        choose(["iou", "kappa", "tau"], PAIR_MEASURES)
    assert set(DEFAULT_PAIR_MEASURES) <= set(PAIR_MEASURES)
    assert measures.cosine.__doc__.startswith("Cosine")


def test_one_axis_is_no_map():
    with pytest.raises(ValueError, match=r"shape \(\.\.\., y, x\), but got the shape \(5,\)"):
        measures.cosine(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="but got the shape"):
        measures.entropy(np.ones(5))


def test_leakage_and_margin_by_hand():
    maps = np.stack([A, box(0, 2, 0, 4) + box(2, 4, 0, 4, value=3.0), EMPTY])
    regions = np.stack([A > 0, box(2, 4, 0, 6) > 0, EMPTY > 0])
    shares = measures.region_shares(maps, regions)
    np.testing.assert_allclose(shares[:2, :2], [[1, 0], [0.25, 0.75]])
    assert np.isnan(shares[2]).all()  # no mass
    assert np.isnan(shares[:, 2]).all()  # no region
    np.testing.assert_allclose(measures.region_shares(maps * 9, regions), shares)
    own, other = (share(shares, [0, 0, 0]) for share in (measures.own_share, measures.other_share))
    np.testing.assert_allclose(own, [1, 0.25, np.nan])
    np.testing.assert_allclose(other, [0, 0.75, np.nan])
    margins = measures.binding_margin(shares, [0, 0, 0])
    np.testing.assert_allclose(margins, [1, -0.5, np.nan])
    assert np.isnan(measures.binding_margin(shares[:, :1], [0, 0, 0])).all()  # no other noun
    assert measures.binding_margin(np.zeros((0, 2)), []).shape == (0,)


@pytest.mark.parametrize("measure", [*ALL, *BINDING_MEASURES.values()], ids=lambda m: m.name)
def test_zero_mass_gives_the_declared_value(measure):
    zeros = np.zeros((2, 4, 6))
    if measure.kind == "binary":
        value = measure_masks(PackedMasks(zeros), np.array([0]), np.array([1]), [measure])
        found = value[measure.name]
    elif measure.kind == "soft":
        found = measure.function(*zeros)
    elif measure.kind == "breadth" or measure.name == "neglect":
        found = measure.function(zeros)
    else:
        found = measure.function(measures.region_shares(zeros[:1], zeros + 1), [0])
    np.testing.assert_array_equal(found, np.full_like(found, measure.zero_mass))


@pytest.mark.parametrize("measure", [*ALL, *BINDING_MEASURES.values()], ids=lambda m: m.name)
def test_the_docstring_of_a_measure_states_its_declaration(measure):
    modules = (masks, soft, breadth, binding)
    (function,) = {vars(m)[measure.name] for m in modules if measure.name in vars(m)}
    lines = function.__doc__.splitlines()
    assert lines[0] == f"{measure.meaning}."
    stated = dict(line.removeprefix("- ").split(" ", 1) for line in lines if line.startswith("- *"))
    expected = [f"``{measure.formula}``", measure.range, measure.unit, measure.source]
    assert [stated[f"*{name}:*"] for name in ("Formula", "Range", "Unit", "Source")] == expected
    notes = function.__doc__.split("Notes\n-----\n")[1]
    assert f"*Higher values:* {measure.higher}\n" in notes
    assert f"*NaN where:* {measure.undefined}\n" in notes
    assert f"*Zero mass gives:* {measure.zero_mass_text}\n" in notes


def test_neglect_looks_at_the_strongest_blurred_place():
    # a 3 x 3 Gaussian of sigma 0.5 keeps (1 / (1 + 2 exp(-2)))^2 of a point
    kept = 1 / (1 + 2 * np.exp(-2)) ** 2
    assert measures.neglect(box(1, 2, 2, 3)) == pytest.approx(1 - kept, abs=1e-6)
    assert measures.neglect(np.stack([EMPTY, np.full((4, 6), 0.3)])).tolist() == pytest.approx(
        [1, 0.7]
    )
