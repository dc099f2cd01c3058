"""Measures of a map's shape, by hand; what they find, and what they leave alone."""

import numpy as np
import pytest
import xarray as xr

from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.maps.diagnosis.shapes import border_rise, contrast, difference, smoothness
from daam_syntax.maps.measures.breadth import moran
from helpers.examples import make_maps, make_sentence

CHECKERS = np.indices((8, 8)).sum(axis=0) % 2 * 2.0  # half 0, half 2: mean 1, standard deviation 1


def blob(size=16, y=0.4, x=0.6, width=0.15):
    """A smooth spot on a faint floor, as maps of objects are."""
    rows, columns = np.mgrid[:size, :size] / size
    return 0.05 + np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))


def maps_of(text, values, **options):
    """Maps of a prompt with one subword for each word, between a start and an end token."""
    sentence = make_sentence(text, edges=())
    words = [Subword(t.index + 1, t.text, t.start, t.end) for t in sentence.tokens]
    end = Subword(len(words) + 1, "<end>", 0, 0, "end")
    subwords = [Subword(0, "<start>", 0, 0, "start"), *words, end]
    special = np.full_like(values[0], options.pop("special", 0.2))
    data = xr.DataArray(np.stack([special, *values, special]), dims=("token", "y", "x"))
    return HeatMaps(data, subwords, sentence, options.pop("image_size", (64, 64)), **options)


def found(maps, kind):
    return [word for finding in maps.diagnose() if finding.kind == kind for word in finding.words]


def test_contrast_is_standard_deviation_over_mean():
    empty = np.zeros((8, 8))
    np.testing.assert_allclose(contrast(np.stack([CHECKERS, CHECKERS + 9, empty])), [1, 0.1, 0])


def test_smoothness_is_that_of_the_rougher_scale():
    assert smoothness(CHECKERS[None])[0] == pytest.approx(-1)
    # Checkers of 4 x 4 cells are smooth from cell to cell, and as rough as can be from patch to patch.
    patches = np.kron(np.tile(CHECKERS, (2, 2)), np.ones((4, 4)))
    assert moran(patches) > 0.4
    assert smoothness(patches[None])[0] == pytest.approx(-1)
    assert np.isnan(smoothness(np.ones((1, 8, 8))))[0]


def bordered(*sides, value=4.0):
    """Checkers, mean 1 and standard deviation 1, with sides of one value."""
    inside = np.pad(np.indices((6, 6)).sum(axis=0) % 2 * 2.0, 1, constant_values=1.0)
    for side in sides:
        inside[side] = value
    return inside


SIDES = (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1])


@pytest.mark.parametrize("sides", [SIDES, SIDES[:1], SIDES[1:2], SIDES[2:3], SIDES[3:]])
def test_the_rise_at_the_border_is_in_standard_deviations(sides):
    (rise,) = border_rise(bordered(*sides)[None])
    # One side shares its corners with two others, which rise by the corner's part of theirs.
    assert rise == pytest.approx(4 - 1)


def test_shapes_depend_on_neither_scale_nor_resolution():
    ring = np.stack([bordered(*SIDES), bordered(SIDES[1])])
    fine = np.kron(np.tile(ring, (1, 2, 2)), np.ones((1, 1, 1)))
    assert border_rise(ring * 7) == pytest.approx(border_rise(ring))
    large = np.pad(blob(14), 1, constant_values=2.0)[None]
    assert border_rise(np.kron(large, np.ones((1, 4, 4)))) == pytest.approx(border_rise(large))
    assert contrast(fine * 3) == pytest.approx(contrast(fine))
    assert smoothness(fine * 3) == pytest.approx(smoothness(fine))


def test_maps_of_objects_backgrounds_and_neighbors_are_left_alone():
    at_the_side, background = blob(y=0.98, x=0.5), 1.2 - blob(width=0.3)
    maps = maps_of("red cat in snow", [blob(), blob(x=0.3), at_the_side, background])
    assert list(maps.diagnose()) == []
    oblong = maps_of("red cat", [blob(32)[:, :20], blob(32)[:, 12:]], image_size=(256, 160))
    assert list(oblong.diagnose()) == []


@pytest.mark.parametrize("size", [16, 24, 64])
def test_planted_shapes_are_found(size):
    rng = np.random.default_rng(0)
    flat = 1 + blob(size) / 100
    shuffled = rng.permutation(blob(size).ravel()).reshape(size, size)
    ring = blob(size)
    ring[:, : size // 16] += 1
    maps = maps_of("a b c d", [blob(size), flat, shuffled, ring])
    assert found(maps, "flat") == [1]
    assert found(maps, "scattered") == [2]
    assert found(maps, "border") == [3]


def test_scattered_patches_of_a_fine_grid_are_found():
    patches = np.random.default_rng(0).permutation(blob(16).ravel()).reshape(16, 16)
    maps = maps_of("red cat", [blob(64), np.kron(patches, np.ones((4, 4)))])
    assert found(maps, "scattered") == [1]


def test_noise_is_found_from_half_of_the_variance_on():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 32, 32)) * blob(32).std()
    mixed = blob(32) + noise * np.array([0.5, 1.3])[:, None, None] + 2
    assert found(maps_of("some more", list(mixed)), "scattered") == [1]


def test_patterns_of_few_cells_are_not_judged():
    diagnosis = make_maps().diagnose()
    assert set(diagnosis.unchecked) >= {"scattered", "border"}
    assert "grid of 4 x 6" in diagnosis.unchecked["border"]


def test_repeated_words_with_one_map_are_found():
    noisy = blob() * (1 + 1e-5 * np.random.default_rng(0).standard_normal((16, 16)))
    text = "red cat Red owl the the"
    maps = maps_of(text, [blob(), blob(), noisy, blob(), blob(x=0.3), blob(x=0.32)])
    (finding,) = maps.diagnose()
    assert (finding.kind, finding.words, finding.texts) == ("identical", (0, 2), ("red", "Red"))
    assert finding.values[0] < 1e-3 < difference(blob(x=0.3), blob(x=0.32))
    assert difference(np.zeros((2, 2)), np.zeros((2, 2))) == 0


def test_three_occurrences_are_compared_pair_by_pair():
    maps = maps_of("cat cat cat", [blob(), blob(x=0.3), blob()])
    assert found(maps, "identical") == [0, 2]


def test_a_word_without_attention_is_flat():
    assert found(maps_of("red cat", [blob(), np.zeros((16, 16))]), "flat") == [1]
