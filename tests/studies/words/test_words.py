"""The study of words end to end with tiny settings, its deletions, and what is left of an image."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.emoji import scene
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.language import parse
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import run_study
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.word_classes import color_words
from daam_syntax.studies.words.contents import Contents, see
from daam_syntax.studies.words.deletions import attention_to, delete_words
from daam_syntax.studies.words.findings import make_findings, rank_correlations
from daam_syntax.studies.words.study import _content_columns

PROMPT = "a red cat and a car"


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("words", emoji_pipe, prompts=[PROMPT], steps=1)


def test_every_word_is_deleted_in_every_condition(result):
    words = result.tables["words"]
    texts = words.groupby("condition", sort=False)["word"].apply(list)
    everything = PROMPT.split()
    assert texts.to_dict() == {
        "attention": everything,
        "equal mass": everything,
        "text": everything,
        "words only": ["red"],
    }
    assert (words["change"] > 0).all()
    assert words["change"].max() < 1
    by_word = words[words["condition"] == "attention"].set_index("word_index")
    assert by_word["class"].to_list() == ["DET", "ADJ", "NOUN", "CCONJ", "DET", "NOUN"]
    assert by_word["relation"].to_list() == ["det", "amod", "root", "cc", "det", "conj"]
    assert 0 < by_word["attention"].sum() < 1
    assert set(result.figures) == {"estimates", "strip", "effects"}
    (ax,) = result.figures["effects"].axes
    assert ax.get_xlabel().endswith("images of 1 prompt")
    assert "nouns (2)" in [text.get_text() for text in ax.get_legend().get_texts()]
    drawn = [image for ax in result.figures["strip"].axes[2:9] for image in ax.images]
    tops = [(image.get_clim(), float(image.get_array().max())) for image in drawn[1:]]
    assert [limits for limits, _ in tops] == [(0, top) for _, top in tops]  # also of faint words
    assert set(result.tables["classes"]["n_prompts"]) == {1}


def test_changes_are_those_of_the_images(emoji_pipe):
    setup = Setup(emoji_pipe, ("a cat",), 1, DrawingSettings(1).for_pipeline(emoji_pipe))
    original, maps = setup.trace(setup.sentences[0], 0, padding=True)
    deletions = list(delete_words(setup, maps, 0, ()))
    assert [(d.word, d.condition) for d in deletions] == [
        *((word, condition) for word in (0, 1) for condition in ("attention", "equal mass")),
        (0, "text"),
        (1, "text"),
    ]
    for deletion in deletions:
        change = np.abs(deletion.image - original).mean(axis=-1)
        np.testing.assert_allclose(deletion.change, change, atol=1e-4)
    (alone,) = setup.draw("cat", 0, noise_of="a cat")
    np.testing.assert_array_equal(deletions[-2].image, alone)
    rows = maps.words[1].subwords
    assert attention_to(maps, 1) == pytest.approx(maps[1].values.mean() * len(rows), rel=1e-5)


def test_any_pipeline_has_changes_but_only_the_embedded_model_has_objects(sd):
    result = run_study("words", sd, prompts=["a red cat", "cat"], steps=1)
    words = result.tables["words"]
    assert "objects" not in words
    assert not {"Objects lost", "Colors kept"} & set(result.findings)
    alone = words[words["prompt"] == "cat"]
    assert set(alone["condition"]) == {"attention", "equal mass"}  # no text would be left


def test_color_words_are_those_of_nouns_of_the_embedded_world():
    sentence = parse("a red cat and a small blue spoon")
    assert color_words(sentence) == {1: 2}


def test_objects_and_colors_of_exact_scenes_are_seen():
    for seed in range(600_000, 600_030):
        drawn = scene(seed, n_objects=2)
        if drawn.spec.relation == "next to" and not any(o.by_category for o in drawn.spec.objects):
            break
    image = np.asarray(drawn.image) / 255
    (seen,) = see(Annotator.load(), [image], drawn.sentence)
    assert seen.objects == 2
    assert set(seen.nouns) == {obj.noun for obj in drawn.spec.objects}
    for obj in drawn.spec.objects:
        assert seen.colors[obj.noun] == (obj.color or "own color")


def test_only_what_was_there_can_be_lost():
    class Maps:
        sentence = parse("a red cat and a car")
        mapped = range(6)

    two, one = (
        Contents(n, ("cat", "car"), {"cat": color, "car": "own color"})
        for n, color in ((2, "red"), (1, "blue"))
    )
    lost = _content_columns(two, one, Maps, 1, {1: 2})
    assert (lost["fewer"], lost["color_kept"], lost["noun_is_last"]) == (1.0, 0.0, False)
    kept = _content_columns(two, two, Maps, 1, {1: 2})
    assert (kept["fewer"], kept["color_kept"]) == (0.0, 1.0)
    never = _content_columns(one, two, Maps, 1, {1: 2})
    assert np.isnan(never["fewer"])
    assert np.isnan(never["color_kept"])
    assert np.isnan(_content_columns(two, one, Maps, 0, {1: 2})["color_kept"])


def rows(change_of, n_prompts=8, n_words=6, seed=0):
    """A made-up table: attention and what `change_of` makes of it, in both conditions that findings compare."""
    rng = np.random.default_rng(seed)
    made = []
    for prompt in range(n_prompts):
        for word in range(n_words):
            attention = rng.random()
            row = {"prompt_id": f"p{prompt}", "image": f"p{prompt}-0", "class": "NOUN"}
            row |= {"word_index": word, "attention": attention, "own_map": rng.normal() / 4}
            row |= {"other_maps": rng.normal() / 4}
            made.append(row | {"condition": "attention", "change": change_of(attention, rng)})
            made.append(row | {"condition": "equal mass", "change": rng.random()})
    return pd.DataFrame(made)


def agreement(table):
    findings = {finding.title: finding for finding in make_findings(table)}
    return findings["Attention and change"].estimates[0]


def test_attention_that_shows_the_change_is_found():
    table = rows(lambda attention, rng: attention**2)
    assert (rank_correlations(table[table["condition"] == "attention"])["agreement"] == 1).all()
    found = agreement(table)
    assert found.estimate == 1
    assert found.p < 0.01


def test_attention_that_shows_nothing_is_seldom_found():
    """Under exchanged words the mean correlation is 0, and the test keeps its level."""
    found = [agreement(rows(lambda _, rng: rng.random(), seed=seed)) for seed in range(20)]
    assert abs(np.mean([each.estimate for each in found])) < 0.1
    assert sum(each.p <= 0.05 for each in found) <= 4
