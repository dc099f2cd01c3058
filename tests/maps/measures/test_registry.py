"""All measures have the properties that they declare."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daam_syntax.maps import measures
from daam_syntax.maps.measures import (
    BINDING_MEASURES,
    BREADTH_MEASURES,
    DEFAULT_PAIR_MEASURES,
    MASK_MEASURES,
    PAIR_MEASURES,
    PackedMasks,
    against_masks,
    binding,
    breadth,
    choose,
    masks,
    measure_maps,
    measure_masks,
    soft,
    swapped,
)
from daam_syntax.maps.thresholds import Threshold
from helpers.examples import box

SOFT = [m for m in PAIR_MEASURES.values() if m.kind == "soft"]
ALL = [*PAIR_MEASURES.values(), *BREADTH_MEASURES.values()]
RANDOM = np.random.default_rng(0).random((5, 7, 9)) ** 3
HEAD, DEPENDENT = RANDOM[0], RANDOM[1]
small_maps = arrays(float, (2, 4, 5), elements=st.integers(0, 20).map(lambda n: n / 20))


def call(measure, h, d):
    if measure.kind == "breadth":
        return float(measure.function(h))
    return float(measure.function(h, d))


def of_maps(measure, h, d):
    """Apply a measure to two maps; masks are made by a rule that has every invariance."""
    if measure.kind != "binary":
        return call(measure, h, d)
    cuts = zip((0.7, 0.4), (h, d), strict=True)  # different areas
    masks = PackedMasks(np.stack([Threshold("quantile", cut).apply(m) for cut, m in cuts]))
    return measure_masks(masks, np.array([0]), np.array([1]), [measure])[measure.name][0]


@given(small_maps)
@settings(max_examples=60, deadline=None)
def test_ranges_mirrors_and_undefined_values_are_as_declared(two):
    for measure in [*SOFT, *BREADTH_MEASURES.values()]:
        value = call(measure, *two)
        involved = two if measure.kind == "soft" else two[:1]
        empty = involved.sum(axis=(1, 2)).min() == 0
        constant = "constant" in measure.undefined and np.ptp(involved, axis=(1, 2)).min() == 0
        assert np.isnan(value) == (empty or constant), measure.name
        if not np.isnan(value):
            assert measure.low - 1e-9 <= value <= measure.high + 1e-9, measure.name
            if measure.kind == "soft":
                mirror = measure.mirror_sign * call(PAIR_MEASURES[measure.mirror], *two[::-1])
                assert value == pytest.approx(mirror, abs=1e-9), measure.name


@pytest.mark.parametrize("measure", ALL, ids=lambda m: m.name)
def test_measures_are_invariant_exactly_as_declared(measure):
    value = of_maps(measure, HEAD, DEPENDENT)
    order = np.random.default_rng(1).permutation(63)
    changed = {
        "scale": (HEAD * 0.3, DEPENDENT * 5.0),
        "shift": (HEAD + 0.5, DEPENDENT + 1.0),
        "pixels": [m.ravel()[order].reshape(7, 9) for m in (HEAD, DEPENDENT)],
    }
    if measure.kind == "binary":
        del changed["scale"], changed["shift"]  # these depend on the rule
    found = {how for how, two in changed.items() if of_maps(measure, *two) == pytest.approx(value)}
    assert found == measure.invariant


def exchange(measure):
    """A measure of two random words, and of the same words with exchanged roles."""
    if measure.kind == "binary":
        shared, head, dependent = (np.array([n]) for n in (5, 9, 20))
        there = measure.function(shared, head, dependent, 63)
        return float(there[0]), float(measure.function(shared, dependent, head, 63)[0])
    return call(measure, HEAD, DEPENDENT), call(measure, DEPENDENT, HEAD)


@pytest.mark.parametrize("measure", PAIR_MEASURES.values(), ids=lambda m: m.name)
def test_exchanging_roles_gives_the_declared_mirror_image(measure):
    there, back = exchange(measure)
    assert measure.directional == (there != pytest.approx(back))
    mirror = PAIR_MEASURES[measure.mirror]
    assert back == pytest.approx(measure.mirror_sign * exchange(mirror)[0])
    assert (mirror.mirror, mirror.mirror_sign) == (measure.name, measure.mirror_sign)


def test_the_row_of_a_pair_becomes_that_of_the_pair_with_exchanged_roles():
    there, back = ({m.name: exchange(m)[i] for m in PAIR_MEASURES.values()} for i in (0, 1))
    assert swapped(there) == pytest.approx(back)
    assert list(swapped(there)) == list(there)
    assert swapped(swapped(there)) == there


def test_the_measures_of_a_table_are_exchanged_and_other_columns_ignored():
    table = pd.DataFrame({"head": ["cat"], "iod": [0.5], "ioh": [0.25], "log_area_ratio": [-0.7]})
    found = table.assign(**swapped(table))
    assert found.iloc[0].to_dict() == {
        "head": "cat",
        "iod": 0.25,
        "ioh": 0.5,
        "log_area_ratio": 0.7,
    }
    with pytest.raises(ValueError, match="but ioh beside iod, dependent_area beside head_area is"):
        swapped({"iou": 0.1, "iod": 0.5, "head_area": 0.2})


PLACES = [(y, x) for y in range(4) for x in range(6)]
NARROW, MIDDLE, BROAD = (
    np.stack([np.roll(shape, place, (0, 1)) for place in PLACES])
    for shape in (
        box(0, 1, 0, 2) + box(0, 1, 0, 1),
        box(0, 2, 0, 3) + box(1, 2, 1, 3),
        box(0, 3, 0, 5) + box(1, 3, 1, 4),
    )
)


@pytest.mark.parametrize("measure", PAIR_MEASURES.values(), ids=lambda m: m.name)
def test_areas_alone_move_a_measure_exactly_as_declared(measure):
    """All places of one map with all places of another: nothing but areas differs."""
    means = []
    for first, second in ((NARROW, NARROW), (NARROW, MIDDLE), (MIDDLE, BROAD), (BROAD, BROAD)):
        i, j = np.indices((24, 24)).reshape(2, -1)
        if measure.kind == "soft":
            values = measure_maps(np.concatenate([first, second]), i, j + 24, [measure])
        else:
            masks = PackedMasks(np.concatenate([first > 0, second > 0]))
            values = measure_masks(masks, i, j + 24, [measure])
        means.append(np.nanmean(values[measure.name]))
    assert measure.area_free == (np.ptp(means) < 1e-9)
    if measure.area_free:
        np.testing.assert_allclose(means, measure.chance, atol=1e-9)


def test_measures_of_one_map_have_no_direction():
    for measure in [*BREADTH_MEASURES.values(), *BINDING_MEASURES.values()]:
        assert measure.mirror is None
        assert not measure.directional


@given(arrays(bool, (2, 3, 4)))
def test_binary_measures_are_bounded_and_undefined_as_declared(two):
    masks = PackedMasks(two)
    found = measure_masks(masks, np.array([0]), np.array([1]), PAIR_MEASURES.values())
    assert list(found) == [m.name for m in PAIR_MEASURES.values() if m.kind == "binary"]
    for name, (value,) in found.items():
        measure = PAIR_MEASURES[name]
        empty = "empty" in measure.undefined and masks.areas.min() == 0
        full = "everything" in measure.undefined and masks.areas.max() == 12
        apart = "share no pixel" in measure.undefined and not (two[0] & two[1]).any()
        assert np.isnan(value) == (empty or full or apart), name
        assert np.isnan(value) or measure.low - 1e-12 <= value <= measure.high + 1e-12, name


@pytest.mark.parametrize(
    "measure",
    [*ALL, *BINDING_MEASURES.values(), *MASK_MEASURES.values()],
    ids=lambda m: m.name,
)
def test_zero_mass_gives_the_declared_value(measure):
    zeros = np.zeros((2, 4, 6))
    if measure.kind == "binary":
        value = measure_masks(PackedMasks(zeros), np.array([0]), np.array([1]), [measure])
        found = value[measure.name]
    elif measure.kind == "soft":
        found = measure.function(*zeros)
    elif measure.kind == "against_mask":
        found = measure.function(zeros, zeros[0] == 0 if measure.name != "mask_iou" else zeros == 0)
    elif measure.kind == "breadth" or measure.name == "neglect":
        found = measure.function(zeros)
    else:
        regions = np.stack([zeros[0] == 0, zeros[0] == 0])
        regions[:, 0] = False
        found = measure.function(measures.excess_shares(zeros[:1], regions), [0])
    np.testing.assert_array_equal(found, np.full_like(found, measure.zero_mass))


@pytest.mark.parametrize(
    "measure",
    [*ALL, *BINDING_MEASURES.values(), *MASK_MEASURES.values()],
    ids=lambda m: m.name,
)
def test_the_docstring_of_a_measure_states_its_declaration(measure):
    modules = (masks, soft, breadth, binding, against_masks)
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


def test_measures_are_chosen_by_name():
    assert [m.name for m in choose(["iou", "cosine", "iou"], PAIR_MEASURES)] == ["iou", "cosine"]
    assert [m.name for m in choose("phi", PAIR_MEASURES)] == ["phi"]
    with pytest.raises(ValueError, match=r"among iou, .*spearman.* but got 'kappa', 'tau'"):
        choose(["iou", "kappa", "tau"], PAIR_MEASURES)
    assert set(DEFAULT_PAIR_MEASURES) <= set(PAIR_MEASURES)
    assert measures.cosine.__doc__.startswith("Cosine")


def test_an_array_with_one_axis_is_not_a_map():
    with pytest.raises(ValueError, match=r"shape \(\.\.\., y, x\), but got the shape \(5,\)"):
        measures.cosine(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="but got the shape"):
        measures.entropy(np.ones(5))


@pytest.mark.parametrize(
    "measure",
    [*SOFT, *BREADTH_MEASURES.values(), BINDING_MEASURES["neglect"]],
    ids=lambda m: m.name,
)
def test_negative_and_infinite_maps_are_refused_by_name(measure):
    negative, endless = HEAD - 0.5, np.where(HEAD > 0.9, np.inf, HEAD)
    lacking = np.where(HEAD > 0.9, np.nan, HEAD)
    n = int((HEAD > 0.9).sum())
    if measure.kind == "soft":
        with pytest.raises(ValueError, match=f"`first` of {measure.name}, but got values from -0"):
            measure.function(negative, DEPENDENT)
        for second in (endless, lacking):
            with pytest.raises(ValueError, match=f"`second` of {measure.name}, but got {n} values"):
                measure.function(HEAD, second)
        return
    with pytest.raises(ValueError, match=f"`maps` of {measure.name}, but got values from -0"):
        measure.function(negative)
    for maps in (endless, lacking):
        with pytest.raises(ValueError, match=f"`maps` of {measure.name}, but got {n} values that"):
            measure.function(maps)


def test_functions_of_many_maps_refuse_negative_maps():
    with pytest.raises(ValueError, match="`words` of measure_maps, but got values from -0"):
        measure_maps(RANDOM - 0.5, np.array([0]), np.array([1]), SOFT)
    with pytest.raises(ValueError, match="`maps` of region_shares, but got values from -0"):
        measures.region_shares(RANDOM - 0.5, RANDOM > 0.5)
