"""The study of adjectives end to end with tiny settings, and the place of attention by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from daam_syntax.studies import run_study
from daam_syntax.studies.adjectives import study as adjectives
from daam_syntax.studies.adjectives.findings import _of_maps, _of_objects

CATS = "a red cat and a blue car"
OWLS = "a small owl on a green bed"
TINY = {"seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def swaps(emoji_pipe):
    return run_study("adjectives", emoji_pipe, prompts=[CATS, OWLS], **TINY)


def test_adjectives_end_to_end(swaps):
    maps = swaps.tables["maps"]
    pairs = [("red", "cat"), ("blue", "car"), ("small", "owl"), ("green", "bed")]
    assert list(zip(maps["adjective"], maps["noun"], strict=True)) == pairs
    shares = maps[["on_noun", "on_other_noun"]].sum(axis=1)
    assert shares.between(0, 1 + 1e-6).all()
    words = swaps.tables["words"]
    assert words["role"].tolist() == ["adjective", "noun"] * 4
    assert words["effective_area"].between(0, 1).all()
    swapped = swaps.tables["swaps"]
    assert "small" not in set(swapped["adjective"])  # not a color
    assert set(swapped["condition"]) == {"layout held fixed", "new layout"}
    colors = swaps.tables["colors"]
    assert len(colors) == 3 * 3 * 2  # swaps x images x roles
    assert (colors["old_color"].isna() == (colors["reason"] != "")).all()
    objects = swaps.tables["objects"]
    shares = objects[["adjective_outside_object", "noun_outside_object"]]
    assert shares.isna().any(axis=1).equals(objects["reason"] != "")
    counts = [len(found) for found in swaps.findings.values()]
    assert counts == [3, 3, 3, 3, 5, 5]
    assert len(swaps.tables["estimates"]) == sum(counts) - 1  # the last is a note


def test_figures_are_closed_in_pyplot(swaps):
    listed = [plt.figure(number) for number in plt.get_fignums()]
    assert not any(figure in listed for figure in swaps.figures.values())


def test_place_of_the_attention():
    """Of 10 units of attention, 4 lie on the two pixels of the noun and 3 on the one pixel of the other noun."""
    values = np.array([[2.0, 2, 1, 1], [3, 1, 0, 0]])
    own = np.zeros((2, 4), bool)
    own[0, :2] = True
    other = np.zeros((2, 4), bool)
    other[1, 0] = True
    found = adjectives._where_it_lies(values, own, other)
    assert found == pytest.approx(
        {
            "on_noun": 0.4,
            "noun_area": 0.25,
            "outside_noun": 0.6,
            "on_other_noun": 0.3,
            "other_noun_area": 0.125,
            "excess_on_noun": 0.15,
            "excess_on_noun_only": 0.15,
            "excess_on_other_noun": 0.175,
        }
    )


def test_pixels_in_both_masks_count_for_neither_noun():
    values = np.array([[2.0, 2, 1, 1], [3, 1, 0, 0]])
    own, other = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    own[0, :2] = other[0, 1:3] = True
    found = adjectives._where_it_lies(values, own, other)
    assert found["on_noun"] == pytest.approx(0.4)
    assert found["excess_on_noun_only"] == pytest.approx(0.2 - 1 / 8)
    assert found["excess_on_other_noun"] == pytest.approx(0.1 - 1 / 8)


def blobs(rng, n, size=16):
    """Return smooth maps at random places. *Shape:* ``(map, y, x)``."""
    y, x = np.mgrid[:size, :size]
    places = rng.uniform(3, size - 3, (n, 2, 1, 1))
    widths = rng.uniform(1.5, 4, (n, 1, 1))
    squares = (y - places[:, 0]) ** 2 + (x - places[:, 1]) ** 2
    return np.exp(-squares / 2 / widths**2) + rng.random((n, size, size)) * 0.1


def study_of_exchangeable_maps(seed, n_prompts=40):
    """Return the findings on maps of two adjectives and two nouns that are drawn alike."""
    rng = np.random.default_rng(seed)
    maps, objects = [], []
    for prompt in range(n_prompts):
        row = {"prompt_id": f"p{prompt}", "prompt": "", "image": f"p{prompt}-0", "seed": 0}
        values = blobs(rng, 5)
        masks = [each > 0.4 * each.max() for each in values]
        for adjective, noun, other in ((0, 1, 3), (2, 3, 1)):
            where = adjectives._where_it_lies(values[adjective], masks[noun], masks[other])
            crossed = adjectives._crossed(
                values[adjective], values[noun], masks[adjective], masks[noun]
            )
            maps.append(row | where | crossed)
            on_object = adjectives._on_object(values[adjective], values[noun], masks[4])
            objects.append(row | on_object)
    return [*_of_maps(pd.DataFrame(maps)), _of_objects(pd.DataFrame(objects))]


def test_exchangeable_maps_differ_in_nothing():
    """On the noun's own mask, the noun's map exceeded such a map by 0.06 (p < 0.001)."""
    found = {}
    for seed in range(12):
        for finding in study_of_exchangeable_maps(seed):
            for estimate in finding.estimates:
                if not np.isnan(estimate.p):
                    found.setdefault(estimate.label, []).append(estimate)
    assert len(found) == 3
    for estimates in found.values():
        values = np.array([estimate.estimate for estimate in estimates])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean()) < 3 * error
        assert sum(estimate.p <= 0.05 for estimate in estimates) <= 3
