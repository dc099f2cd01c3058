"""Verdicts on annotations that are drawn by hand, and on scenes that are wrong on purpose."""

import numpy as np
import pytest

from daam_syntax.emoji.annotator import COLOR_CLASSES, NOUN_CLASSES, Annotation, Annotator
from daam_syntax.language import parse
from daam_syntax.studies.verdicts.judging.annotated import Asked, annotator_rates, verdict

BOTH = Asked(("cat", "car"), {})


def seen(*boxes):
    """Return an annotation of 64 x 64 pixels with boxes: noun, color, top, left, height, width."""
    nouns, colors = np.zeros((2, 64, 64), dtype=np.uint8)
    for noun, color, top, left, height, width in boxes:
        place = slice(top, top + height), slice(left, left + width)
        nouns[place], colors[place] = NOUN_CLASSES.index(noun), COLOR_CLASSES.index(color)
    return Annotation(nouns, colors)


def own(noun, *box):
    return (noun, "own color", *box)


@pytest.mark.parametrize(
    ("boxes", "missing", "fused"),
    [
        ([own("cat", 20, 2, 28, 26), own("car", 20, 36, 28, 26)], 0, 0),
        ([own("cat", 20, 2, 28, 28), own("car", 20, 30, 28, 28)], 0, 0),  # side by side, they touch
        ([own("cat", 20, 2, 28, 28), own("cat", 20, 36, 28, 26)], 1, 0),  # a twin instead
        ([own("cat", 20, 2, 28, 56)], 1, 0),  # twins that touch
        ([own("cat", 15, 15, 32, 30)], 1, 1),
        ([own("cat", 15, 15, 16, 32), own("car", 31, 15, 16, 32)], 0, 1),  # half and half
        ([own("cat", 15, 15, 16, 32), own("car", 40, 2, 5, 3)], 1, 1),  # too small
        ([], 1, 1),
    ],
)
def test_objects_that_are_missing_or_fused(boxes, missing, fused):
    found = verdict(seen(*boxes), BOTH)
    assert (found["missing"], found["fused"]) == (missing, fused)
    assert np.isnan(found["color"])


def test_a_remnant_is_not_an_object():
    found = verdict(seen(own("cat", 15, 15, 32, 30), own("cat", 52, 52, 8, 8)), BOTH)
    assert found["fused"] == 1


def test_colors():
    asked = Asked(("cat", "car"), {"cat": "red"})
    places = ((20, 2, 28, 26), (20, 36, 28, 26))

    def color_of(cat, car):
        boxes = [("cat", cat, *places[0])] * bool(cat) + [("car", car, *places[1])] * bool(car)
        return verdict(seen(*boxes), asked)["color"]

    assert color_of("red", "own color") == 0
    assert color_of("blue", "own color") == 1
    assert color_of("own color", "own color") == 1
    assert color_of("red", "red") == 1  # the color of the other noun
    assert color_of(None, "own color") == 0
    assert np.isnan(color_of(None, None))


def test_what_a_prompt_asks_for():
    asked = Asked.of(parse("a red cat and a car"))
    assert asked == Asked(("cat", "car"), {"cat": "red"})
    assert Asked.of(parse("a cat that is red and a car")).colors == {"cat": "red"}
    assert Asked.of(parse("the cat is red and the car is blue")).colors["car"] == "blue"
    riding = Asked.of(parse("a robot riding a horse"))
    assert not riding.apart
    assert np.isnan(verdict(seen(own("robot", 15, 15, 32, 30)), riding)["fused"])
    alone = Asked.of(parse("a cat"))
    assert np.isnan(verdict(seen(own("cat", 15, 15, 32, 30)), alone)["fused"])


def test_a_color_whose_noun_is_unknown_is_not_judged():
    asked = Asked(("cat", "car"), {"cat": "red"}, reads_colors=False)
    assert np.isnan(verdict(seen(own("cat", 20, 2, 28, 26)), asked)["color"])


def test_error_rates_are_those_of_wrong_scenes():
    prompts = ["a red cat and a blue car", "a dog, a tree and a hat", "a pizza and a ghost"]
    skipped = ["a cat", "a robot riding a horse", "a cat and a cat"]
    asked = [Asked.of(parse(prompt)) for prompt in (*prompts, *skipped)]
    rates = annotator_rates(Annotator.load(), asked * 4, n=24)
    assert rates["missing"].n_failed == rates["any"].n_right == 12
    assert rates["color"].n_failed == 4
    assert rates["any"].n_failed == 28
    for name, rate in rates.items():
        assert rate.specificity >= 0.9, name
        assert rate.sensitivity >= (0.5 if name == "fused" else 0.8), name
    assert annotator_rates(Annotator.load(), asked[3:]) == {}
