"""Scores of maps against masks and counterfactuals, worked out by hand, and who wins by them."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.attribution import comparisons, scenes, tables
from benchmarks.attribution.cases import Case, Scored, Thing, batches, by_case, pairs
from benchmarks.attribution.mapping.methods import METHODS
from benchmarks.attribution.running import parts_of_one_size, summarized
from benchmarks.attribution.scoring import (
    AT_BEST,
    MIOU,
    OWN,
    POINTING,
    PRECISION,
    TAUS,
    against_masks,
    at_size,
    by_image,
    iou_at,
    share_inside,
    with_best_threshold,
)
from daam_syntax.emoji import scene
from helpers.examples import make_sentence

# A map of 2 x 3 pixels; the thing is on the left, another one on the right.
MAP = np.array([[4.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
LEFT = np.array([[True, False, False], [True, False, False]])
RIGHT = np.array([[False, False, True], [False, False, True]])


def test_scores_by_hand():
    scores = against_masks([Thing(0, LEFT, (RIGHT,))], {0: MAP})
    # IoU above t: t < 1/4: 2 of 4; < 1/2: 2 of 3; < 3/4: 2 of 2; < 1: 1 of 2.
    assert scores[MIOU] == [pytest.approx((2 / 4 + 2 / 3 + 1 + 1 / 2) / 4)]
    assert scores[PRECISION] == [1.0]
    assert scores[POINTING] == [1.0]
    assert scores[OWN] == [1.0]
    assert scores[iou_at(0.6)] == [1.0]
    assert scores[iou_at(0.9)] == [0.5]
    wrong = against_masks([Thing(0, RIGHT, (LEFT,)), Thing(1, LEFT)], {0: MAP, 1: MAP})
    assert wrong[POINTING] == [0.0, 1.0]
    # The pixels of the right in order of value: the fourth; then the two of value 0 together.
    assert wrong[PRECISION][0] == pytest.approx((1 / 4 + 2 / 6) / 2)
    assert wrong[OWN] == [0.0]  # only the first is not alone


def test_a_map_without_mass_is_flat_and_a_tie_is_a_half():
    scores = against_masks([Thing(0, LEFT, (RIGHT,))], {0: np.zeros((1, 1))})
    area = pytest.approx(1 / 3)
    assert scores[MIOU] == [area]
    assert scores[PRECISION] == [area]
    assert scores[POINTING] == [area]
    assert scores[OWN] == [0.5]
    assert share_inside(np.zeros((2, 3)), LEFT) == area
    for wrong in (np.nan, -1.0):
        with pytest.raises(ValueError, match="finite values of 0 or more"):
            at_size(np.array([[1.0, wrong]]), (2, 2))


def test_words_are_averaged_within_an_image():
    sentence = make_sentence()
    case = Case(Image.new("RGB", (3, 2)), sentence, (1, 4))
    both = Scored(case, (Thing(1, LEFT, (RIGHT,)), Thing(4, RIGHT, (LEFT,))))
    one = Scored(case, (Thing(1, LEFT),))
    found = by_image([both, one], [{1: MAP, 4: MAP}, {1: MAP}])
    assert found[POINTING].tolist() == [0.5, 1.0]
    assert found[OWN][0] == 0.5
    assert np.isnan(found[OWN][1])
    assert pairs([case, case]) == [(0, 1), (0, 4), (1, 1), (1, 4)]
    assert by_case([case], [MAP, LEFT])[0][4] is LEFT
    assert list(batches(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    small = Case(Image.new("RGB", (2, 2)), sentence, (1,))
    sizes = [len(part) for part in parts_of_one_size([case, case, case, small, case], 2)]
    assert sizes == [2, 1, 1, 1]


def test_no_threshold_is_chosen_on_the_image_that_it_scores():
    """Even images are best at 0.3 and odd ones at 0.7, so each half gets the threshold that suits the other."""
    scores = {iou_at(tau): np.zeros(4) for tau in TAUS}
    scores[iou_at(0.3)] = np.array([0.9, 0.1, 0.9, 0.1])
    scores[iou_at(0.7)] = np.array([0.2, 0.8, 0.2, 0.8])
    kept, taus = with_best_threshold(scores | {MIOU: np.ones(4)})
    assert kept[AT_BEST].tolist() == [0.2, 0.1, 0.2, 0.1]
    assert taus == [0.7, 0.3]
    assert set(kept) == {MIOU, AT_BEST}


def test_counterfactuals_are_the_scene_without_the_thing_and_with_another():
    drawn = scene(600_002)
    found = scenes.counterfactuals_of(drawn, 2)
    again = scenes.counterfactuals_of(drawn, 2)
    own = next(obj for obj in drawn.objects if obj.word == found.thing.word)
    assert found.thing.mask is own.mask
    for case in (found.without, found.other):
        assert case.sentence is drawn.sentence
        assert case.words == (own.word,)
        changed = (np.asarray(case.image) != np.asarray(drawn.image)).any(axis=-1)
        assert changed[own.mask].mean() > 0.5
    assert np.array_equal(np.asarray(found.other.image), np.asarray(again.other.image))
    assert found.shared.any()
    assert not (found.shared & ~own.mask).any()
    assert {scenes.nouns_of(drawn).case.words} == {tuple(obj.word for obj in drawn.objects)}


def test_counterfactual_scores_by_hand():
    case = Case(Image.new("RGB", (3, 2)), make_sentence(), (1,))
    shared = np.array([[True, False, False], [False, False, False]])
    found = scenes.Counterfactuals(Thing(1, LEFT), case, case, shared)
    gone = np.array([[1.0, 5.0, 2.0], [1.0, 0.0, 1.0]])
    other = np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    scores = scenes.counterfactual_scores([found], [{1: MAP}], [{1: gone}], [{1: other}])
    assert scores[scenes.WITH][0] == pytest.approx(7 / 10)
    assert scores[scenes.WITHOUT][0] == pytest.approx(2 / 10)
    assert scores[scenes.LOST][0] == pytest.approx(5 / 10)
    assert scores[scenes.FALLS][0] == 1
    assert scores[scenes.OTHER][0] == pytest.approx(4 / 10 - 4 / 8)
    assert scores[scenes.BELOW][0] == 0
    kept = {
        when: scores[after][0] / scores[before][0] for when, (after, before) in scenes.KEPT.items()
    }
    assert kept == {"without the thing": pytest.approx(2 / 7), "with another thing": 1.0}
    same = scenes.counterfactual_scores([found], [{1: MAP}], [{1: 2 * MAP}], [{1: MAP}])
    assert same[scenes.FALLS][0] == same[scenes.BELOW][0] == 0.5


class TestWinners:
    RNG = np.random.default_rng(0)
    NOISE = RNG.normal(0, 0.1, 40)

    def test_a_winner_beats_every_other_method(self):
        scores = {
            "plain": 0.5 + self.NOISE,
            "better": 0.6 + self.NOISE + self.RNG.normal(0, 0.02, 40),
            "close": 0.55 + self.NOISE + self.RNG.normal(0, 0.02, 40),
        }
        found = comparisons.winner(scores)
        assert (found["best"], found["runner-up"], found["winner"]) == ("better", "close", "better")
        assert found["not beaten"] == []
        assert found["level"] == pytest.approx(0.975)
        assert "**better** wins, by +0.0" in tables.verdict("score", found)

    def test_none_wins_if_one_method_may_be_as_good(self):
        """The runner-up is far behind for sure, but a third method varies and may be better."""
        scores = {
            "best": np.full(40, 0.5),
            "sure": np.full(40, 0.4) + 0.001 * self.NOISE,
            "unsure": 0.39 + 5 * self.NOISE,
        }
        scores["unsure"] += 0.39 - scores["unsure"].mean()
        found = comparisons.winner(scores)
        assert (found["best"], found["runner-up"], found["winner"]) == ("best", "sure", None)
        assert found["not beaten"] == ["unsure"]
        assert "none wins" in tables.verdict("score", found)

    def test_intervals_hold_together(self):
        """A difference that is clear alone is not, among ten comparisons."""
        values = np.array([0.0, 0.3] * 4)
        wide = {"a": values, **{f"m{i}": np.zeros(8) for i in range(10)}}
        assert comparisons.difference(values, np.zeros(8))["low"] > 0
        assert comparisons.winner(wide)["winner"] is None
        assert comparisons.winner({"a": values, "b": np.zeros(8)})["winner"] == "a"

    def test_a_tie_has_no_winner(self):
        found = comparisons.winner({"a": np.ones(5), "b": np.ones(5)})
        assert found["winner"] is None
        assert "a and b are equally high" in tables.verdict("score", found)

    def test_what_learned_from_masks_stands_apart(self):
        scores = {
            method.name: {MIOU: np.full(6, 0.9 if method.from_masks else 0.5)} for method in METHODS
        }
        scores["refined"][MIOU] = np.full(6, 0.6)
        result = summarized(scores, METHODS, [MIOU])
        assert result["winners"][MIOU]["winner"] == "refined"
        assert result["methods"]["learned weights"]["learned from masks"]
        gain = result["methods"]["learned weights"]["minus plain"][MIOU]
        assert gain["mean"] == pytest.approx(0.4)
        rows = tables.mask_table(result)
        assert rows[-1].startswith("| *learned weights* (learned from masks) |")
        assert sum("(ignores the word)" in row for row in rows) == 2

    def test_differences_need_the_same_images(self):
        with pytest.raises(ValueError, match="same images"):
            comparisons.difference(np.array([1.0, np.nan]), np.array([1.0, 2.0]))

    def test_differences_are_paired(self):
        """scipy's one-sample t interval, and the classic formula by hand."""
        first, second = np.array([0.4, 0.5, 0.9]), np.array([0.1, 0.4, 0.7])
        found = comparisons.difference(first, second)
        # differences 0.3, 0.1, 0.2: mean 0.2, standard deviation 0.1, t(0.975, 2) = 4.303
        assert found["mean"] == pytest.approx(0.2)
        assert found["high"] - found["mean"] == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)


def test_an_interval_that_excludes_0_is_shown_to_exclude_it():
    assert (
        tables.signed({"mean": 0.006, "low": 0.0004, "high": 0.012}) == "+0.0060 [+0.0004, +0.0120]"
    )
    assert tables.signed({"mean": -0.25, "low": -0.3, "high": -0.2}) == "-0.25 [-0.30, -0.20]"
    assert tables.signed({"mean": 0.0, "low": 0.0, "high": 0.0}) == "+0.000 [+0.000, +0.000]"


def test_ratios_are_of_sums():
    found = comparisons.ratio_of_sums(np.array([1.0, 0.0, 2.0]), np.array([2.0, 0.5, 3.5]))
    assert found["mean"] == 0.5
    assert found["low"] <= 0.5 <= found["high"]


def test_the_readme_names_the_winners():
    results = tables.read_results()
    text = tables.README.read_text(encoding="utf-8")
    assert tables.updated_readme(text, results) == text, "python -m tools.check --write"
    highest, lead = (row.split(" | ") for row in tables.readme_table(results)[2:])
    for column, score in enumerate(tables._README_SCORES, start=1):
        found = results["winners"][score]
        name = f"**{found['best']}**" if found["winner"] else found["best"]
        assert highest[column].startswith(f"{name} ")
        assert f"({found['runner-up']})" in lead[column]
