"""The study of contextless words end to end with tiny settings, its conditions, and what it counts."""

import itertools

import numpy as np
import pandas as pd
import pytest

from daam_syntax import prompts
from daam_syntax.attention import StateEdit
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import draw_scene
from daam_syntax.emoji.vocabulary import COLORS
from daam_syntax.errors import StudyError
from daam_syntax.language import parse
from daam_syntax.studies import run_study
from daam_syntax.studies.contextless.conditions import (
    ITSELF,
    LABELS,
    SPECIAL,
    TEXT,
    colored_nouns,
    conditions_of,
    joined_nouns,
    placed,
)
from daam_syntax.studies.contextless.contents import Seen, see
from daam_syntax.studies.contextless.drawing import Drawn
from daam_syntax.studies.contextless.findings import make_findings
from daam_syntax.studies.contextless.outcomes import rows_of

COLORED, PLACED = "a red cat and a blue owl", "a cat to the left of a dog"


def conditions(text):
    return list(conditions_of(parse(text), tuple(COLORS)))


def test_what_is_done_to_colors_and_number():
    found = conditions(COLORED)
    (pair, other) = colored_nouns(parse(COLORED), tuple(COLORS))
    assert (pair.color, pair.noun, pair.text) == (1, 2, "a green cat and a blue owl")
    assert (other.color, other.noun, other.text) == (5, 6, "a red cat and a green owl")
    assert joined_nouns(parse(COLORED)) == (2, 6)
    edits = {(each.name, each.words): each.edits for each in found}
    assert edits["other noun", (1, 2)] == (StateEdit(2, by=2, context=pair.text),)
    assert edits["alone", (5, 6)] == (StateEdit(6, alone=True),)
    assert len(edits["attention, alone", (1, 2)]) == 2
    assert edits["and", (3,)] == (StateEdit(3, padding=True),)
    assert edits["second article", (4,)] == (StateEdit(4, padding=True),)
    assert edits[ITSELF, tuple(range(7))] == (StateEdit(range(7), by=range(7)),)
    assert {each.name for each in found} <= set(LABELS)


def test_what_is_done_to_places():
    place = placed(parse(PLACED))
    assert (place.word, place.first, place.last) == (4, 1, 7)
    assert place.text == "a cat to the right of a dog"
    edits = {each.name: each.edits for each in conditions(PLACED)}
    assert edits["place"] == (StateEdit(4, by=4, context=place.text),)
    assert edits["last article"] == (StateEdit(6, by=6, context=place.text),)
    assert edits[TEXT] == ()
    assert placed(parse("a cat above a dog")).text == "a cat below a dog"
    assert placed(parse("a cat and a dog")) is None
    assert placed(parse("a cat on the left")) is None
    assert set(edits) <= set(LABELS)


def test_the_prompts_ask_as_often_for_colors_as_for_places():
    rows = prompts("contextless").rows
    assert [row.category for row in rows] == ["color"] * 12 + ["place"] * 12


def test_prompts_without_a_question_are_refused(sd):
    assert conditions("a cat") == []
    with pytest.raises(StudyError, match=r"a color and a noun.*choose other prompts"):
        run_study("contextless", sd, prompts=["a cat"], steps=1)


def test_places_of_exact_scenes_are_seen():
    annotator, rng = Annotator.load(), np.random.default_rng(0)
    for word, opposite in (("left", "right"), ("above", "below")):
        relation = f"to the {word} of" if word == "left" else word
        spec = SceneSpec((ObjectSpec("cat", "red"), ObjectSpec("house")), relation)
        image = np.asarray(draw_scene(spec, rng).image) / 255
        (seen,) = see(annotator, [image], ["cat", "house", "idea"])
        assert seen.colors == {"cat": "red", "house": "own color"}
        assert seen.place("cat", "house", word) == word
        assert seen.place("house", "cat", word) == opposite
        assert seen.place("cat", "dog", word) is None


def test_things_that_do_not_stand_apart_have_no_place():
    seen = Seen({"cat": "red", "dog": "red"}, {"cat": (0.2, 0.5), "dog": (0.8, 0.55)})
    assert seen.place("cat", "dog", "left") is None
    assert seen.place("cat", "dog", "below") == "above"


class Maps:
    """Maps of which only the words are known."""

    mapped = ()

    def __init__(self, text):
        self.sentence = parse(text)


def outcome(text, name, before, after, role):
    """Return the row of a condition, its words being those of the first condition of that name."""
    condition = next(each for each in conditions(text) if each.name == name)
    sentence = parse(text)
    rows = rows_of(
        Maps(text),
        Drawn(condition, np.zeros((2, 2, 3)), np.full((2, 2), 0.25)),
        before,
        after,
        colored_nouns(sentence, tuple(COLORS)),
        joined_nouns(sentence),
        placed(sentence),
        "relative:0.4",
    )
    return next(row for row in rows if row["role"] == role)


def test_only_what_the_image_showed_is_counted():
    both = Seen({"cat": "red", "owl": "blue"}, {})
    green, gone = Seen({"cat": "green", "owl": "blue"}, {}), Seen({"owl": "blue"}, {})
    own = outcome(COLORED, "other noun", both, green, "own")
    assert (own["kept"], own["taken"], own["shown"], own["change"]) == (0, 1, 1, 0.25)
    other = outcome(COLORED, "other noun", both, green, "other")
    assert (other["kept"], other["taken"]) == (1, 0)
    lost = outcome(COLORED, "alone", both, gone, "own")
    assert lost["shown"] == 0
    assert np.isnan([lost["kept"], lost["taken"]]).all()
    assert np.isnan(outcome(COLORED, "alone", green, both, "own")["kept"])
    assert outcome(COLORED, SPECIAL, both, both, "both")["kept"] == 1
    assert outcome(COLORED, "first noun", both, gone, "own")["shown"] == 0
    assert outcome(COLORED, "first noun", both, gone, "other")["shown"] == 1
    assert outcome(COLORED, "and", both, gone, "both")["shown"] == 0
    assert np.isnan(outcome(COLORED, "and", gone, gone, "both")["shown"])


def test_sides_are_counted():
    here, there = (
        Seen({"cat": "", "dog": ""}, {"cat": (0.5, x), "dog": (0.5, 1 - x)}) for x in (0.2, 0.8)
    )
    turned = outcome(PLACED, "last noun", here, there, "both")
    assert (turned["kept"], turned["taken"], turned["shown"]) == (0, 1, 1)
    assert outcome(PLACED, "place", here, here, "both")["kept"] == 1
    lost = outcome(PLACED, "place", here, Seen({"dog": ""}, {"dog": (0.5, 0.2)}), "both")
    assert lost["shown"] == 0
    assert np.isnan(lost["kept"])
    assert np.isnan(outcome(PLACED, "place", there, there, "both")["kept"])


def made_up(kept, other, n=8):
    """A table in which edits of a noun keep its color with one probability, and the other's with another."""
    rng, rows = np.random.default_rng(0), []
    for prompt, (role, share) in itertools.product(range(n), (("own", kept), ("other", other))):
        rows.append(
            {
                "prompt_id": f"p{prompt}",
                "image": f"p{prompt}-0",
                "question": "color",
                "condition": "alone",
                "role": role,
                "noun": "cat",
                "kept": float(rng.random() < share),
                "taken": 0.0,
                "shown": 1.0,
                "change": 0.1,
                "change_in_noun": 0.1,
                "reason": "",
            }
        )
    return pd.DataFrame(rows)


def test_an_effect_is_found_beside_its_control_and_nothing_is_found_without_one():
    (found, *_) = make_findings(made_up(0, 1))
    assert (found.title, found.estimates[0].estimate) == ("What takes a noun's color away", -1)
    assert found.estimates[0].p < 0.01
    assert "0 of 8 cases, of 8 prompts" in found.notes[0]
    (same, *_) = make_findings(made_up(0.5, 0.5, 40))
    assert same.estimates[0].p > 0.05


def test_edits_are_compared_with_what_the_other_prompt_brings():
    text, noun = (made_up(1, 1).assign(condition=name) for name in ("other text", "other noun"))
    text["taken"] = [1.0, 0.0] * 8  # own, other
    noun["taken"] = [float(row < 6) for row in range(16)]  # own: the first three prompts
    findings = {each.title: each for each in make_findings(pd.concat([text, noun]))}
    notes = findings["What brings a noun another color"].notes
    assert "from the same noise brings this in 8 cases. Of" in notes[-1]
    assert notes[-1].endswith("noun's vector: from the prompt with the other color, 3.")


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("contextless", emoji_pipe, prompts=[PLACED], steps=1)


def test_every_condition_is_drawn_and_the_same_vectors_change_nothing(result):
    images = result.tables["images"]
    assert list(images["condition"]) == [each.name for each in conditions(PLACED)]
    assert (images["reason"] == "").all()
    changes = images.set_index("condition")["change"]
    assert changes[ITSELF] == 0
    # The encoder reads from left to right: the first noun has not read the word of place.
    assert changes["first noun mirrored"] == 0
    assert (changes.drop([ITSELF, "first noun mirrored", "first noun alone"]) > 0).all()
    assert set(result.figures) == {"estimates", "summary", "strip"}
    panels = result.figures["summary"].axes
    assert "(n): prompts" in panels[-1].get_xlabel()
    for ax in panels:
        assert all(text.get_text().endswith(")") for text in ax.get_yticklabels())
    assert "changes the image by at most 0, in 1 image" in " ".join(
        result.findings["Size of the change"]
    )


def test_any_pipeline_has_changes(sd):
    found = run_study("contextless", sd, prompts=[COLORED], steps=1)
    images = found.tables["images"]
    assert not images.get("kept", pd.Series(dtype=float)).notna().any()
    assert list(found.findings) == ["Size of the change"]
    assert images[images["condition"] == "other noun"]["change"].min() > 0
    # The tiny encoder reads 12 tokens, of which "green" takes 5 and "blue" takes 1.
    refused = images[images["reason"] != ""]
    assert set(refused["condition"]) == {"other color word", "other words"}
    assert "as many subwords" in refused["reason"].iloc[0]
