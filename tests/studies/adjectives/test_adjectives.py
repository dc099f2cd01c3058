"""The study of adjectives end to end with tiny settings, and the place of attention by hand."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from daam_syntax.studies import run_study
from daam_syntax.studies.adjectives import study as adjectives

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
    counts = [len(found) for found in swaps.findings.values()]
    assert counts == [3, 5, 5, 5]
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
            "excess_on_other_noun": 0.175,
        }
    )
