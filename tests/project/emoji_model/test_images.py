"""Scores of images: held-out prompts, resumed measurements, and the card."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.emoji_model import images
from benchmarks.emoji_model.card import model_card
from benchmarks.emoji_model.drawing import draw, fingerprint
from benchmarks.emoji_model.images import score_images, summary
from benchmarks.emoji_model.prompts import KINDS, prompts, text
from benchmarks.emoji_model.results import Results
from daam_syntax.emoji import ObjectSpec, SceneSpec
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.scenes import is_reserved
from daam_syntax.emoji.vocabulary import CATEGORIES, COLORS, NOUNS, PREPOSITIONS, VERB_FORMS

ROOT = Path(__file__).parents[3]
SETTINGS = {"weights": "0", "steps": 20, "guidance": 4.0, "per_kind": 1}


def test_every_relation_has_prompts_that_say_it():
    assert {"and", *PREPOSITIONS, *VERB_FORMS} <= set(KINDS)
    for relation in (*PREPOSITIONS, *VERB_FORMS):
        said = relation if relation in PREPOSITIONS else VERB_FORMS[relation][1]
        assert all(said in text(spec) for spec in prompts(KINDS[relation], 20))


@pytest.mark.parametrize("name", KINDS)
def test_prompts_are_the_same_every_time_and_reserved_ones_apart(name):
    kind = KINDS[name]
    found = prompts(kind, 20)
    assert found == prompts(kind, 20)
    assert prompts(kind, 5) == found[: len(prompts(kind, 5))]
    assert {is_reserved(spec) for spec in found} == {kind.reserved}
    assert len({kind.seed(i) for i in range(200)}) == 200


def test_kinds_go_through_what_they_test():
    alone = prompts(KINDS["noun alone"], 200)
    assert len(alone) == 560
    assert {sum(spec.objects[0].noun == noun for spec in alone) for noun in NOUNS} == {10}
    named = {text(spec) for spec in prompts(KINDS["category noun"], 60)}
    assert all(any(category in prompt for prompt in named) for category in CATEGORIES)
    assert {spec.objects[0].color for spec in prompts(KINDS["color"], 9)} == set(COLORS)
    patterns = {spec.pattern for spec in prompts(KINDS["other caption patterns"], 60)}
    assert patterns == {"finite", "progressive", "relative", "existential", "picture", "scene"}


def test_a_summary_counts_faults():
    specs = [SceneSpec((ObjectSpec("cat"), ObjectSpec("dog")), "on")] * 4
    found = summary(KINDS["on"], specs, [(), ("relation",), ("twin", "relation"), ("missing",)])
    assert (found["right"]["hits"], found["right"]["n"]) == (1, 4)
    assert found["objects"]["hits"] == 2
    assert (found["aspect"]["hits"], found["aspect"]["n"]) == (1, 2)
    assert found["faults"] == {"missing": 1, "twin": 1, "relation": 2}
    cats = [SceneSpec((ObjectSpec(noun),)) for noun in ("cat", "dog", "cat")]
    found = summary(KINDS["noun alone"], cats, [(), ("partial",), ("twin",)])
    assert found["by"] == {"cat": [1, 2], "dog": [0, 1]}
    assert "aspect" not in found


def test_images_are_scored_kind_by_kind_and_resumed(emoji_pipe, tmp_path, monkeypatch):
    chosen = {name: KINDS[name] for name in ("color", "background")}
    asked = [text(prompts(kind, 1)[0]) for kind in chosen.values()]
    path, drawn, refused = tmp_path / "scores.json", [], [asked[1]]

    def watched(pipe, given, seeds):
        if given == refused:
            raise KeyboardInterrupt
        drawn.extend(given)
        return draw(pipe, given, seeds)

    def score():
        score_images(emoji_pipe, Annotator.load(), Results(path, SETTINGS), 1, progress=False)
        return json.loads(path.read_text())["images"]

    monkeypatch.setattr(images, "KINDS", chosen)
    monkeypatch.setattr(images, "draw", watched)
    with pytest.raises(KeyboardInterrupt):
        score()
    first = json.loads(path.read_text())["images"]
    assert set(first) == {"color"}
    refused.clear()
    found = score()
    assert drawn == asked
    assert found["color"] == first["color"]
    assert found["background"]["right"]["n"] == 1


def test_results_of_other_weights_are_dropped(tmp_path):
    path = tmp_path / "scores.json"
    Results(path, SETTINGS).add(1, "images", "color")
    assert Results(path, SETTINGS).has("images", "color")
    other = Results(path, {**SETTINGS, "weights": "1"})
    assert not other.has("images", "color")
    other.add({"unet": 5}, "parameters")
    assert json.loads(path.read_text()) == {
        "settings": {**SETTINGS, "weights": "1"},
        "parameters": {"unet": 5},
    }


def test_the_fingerprint_is_of_the_weights_as_shipped(emoji_pipe):
    annotator = Annotator.load()
    before = fingerprint(emoji_pipe, annotator)
    weight = emoji_pipe.unet.conv_out.bias
    original = weight.data.clone()
    try:
        weight.data = original * (1 + 1e-6)  # lost in half precision
        assert fingerprint(emoji_pipe, annotator) == before
        weight.data = original + 0.1
        assert fingerprint(emoji_pipe, annotator) != before
    finally:
        weight.data = original


def test_drawing_and_judging_load_no_parser():
    """They also run on machines with a GPU and without spaCy."""
    code = (
        "import sys; from benchmarks.emoji_model import __main__, images; "
        "print(sorted({'spacy', 'conllu', 'inflect', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_card_shows_what_is_measured_and_names_what_is_not():
    rate = {"hits": 9, "n": 10, "share": 0.9, "low": 0.6, "high": 0.98}
    results = {"settings": SETTINGS, "parameters": {"unet": 13_300_000}}
    assert model_card(results).count("Not measured yet") == 4
    results["images"] = {
        "noun alone": {
            "right": rate,
            "objects": rate,
            "faults": {"twin": 1},
            "by": {"cat": [5, 5], "dog": [4, 5]},
        }
    }
    perfect = {"hits": 50, "n": 50, "share": 1.0, "low": 0.9, "high": 1.0}
    results["annotation"] = {
        "pixels": dict.fromkeys(
            (
                "n_scenes",
                "noun_miou",
                "background_iou",
                "pixels_called_cohyponym",
                "pixels_called_other_category",
                "pixels_called_background",
                "color_pixel_accuracy",
            ),
            0.5,
        ),
        "regions": dict.fromkeys(("named", "once", "false nouns", "extra objects"), rate),
        "judge": {
            "right scenes": {"noun alone": perfect},
            "wrong scenes": {"noun alone": perfect},
            "rejected": {"twin": rate},
        },
    }
    card = model_card(results)
    assert "| noun alone | 10 | 90.0% [60.0%, 98.0%] | 90.0% [" in card
    assert "| twin 1 |" in card
    assert "Right, noun alone: dog 4 of 5; all of cat." in card
    assert "| twin | 10 | 90.0% [60.0%, 98.0%] |" in card
    assert card.count("Not measured yet") == 2
