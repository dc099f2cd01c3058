"""The study of interventions end to end with tiny settings, its result on disk, and its masks."""

import html
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from daam_syntax.attention import Edit, intervene
from daam_syntax.errors import StudyError
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import intervention, run_study
from daam_syntax.studies.framework.setup import Setup

CATS = "a red cat and a blue car"
OWLS = "a small owl on a green bed"
TINY = {"seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("intervention", emoji_pipe, prompts=[CATS, OWLS], shares=(0.25, 0.75), **TINY)


def test_intervention_end_to_end(result):
    changes = result.tables["changes"]
    assert list(changes.groupby(["prompt", "word"], sort=False).groups) == [
        (CATS, "cat"),
        (CATS, "car"),
        (OWLS, "owl"),
        (OWLS, "bed"),
    ]
    random_words = {"random noun", "random adjective"}
    assert set(changes["condition"]) == {"delete", "equal mass"} | random_words
    assert (changes["whole"] > 0).all()
    weighted = changes["inside"] * changes["area"] + changes["outside"] * (1 - changes["area"])
    np.testing.assert_allclose(weighted, changes["whole"], rtol=1e-6)
    random = changes[changes["condition"].isin(random_words)]
    nouns = random[random["condition"] == "random noun"]
    assert nouns["edited"].to_list() == ["car", "cat", "bed", "owl"]
    assert (random["edited"] != random["word"]).all()
    curves = result.tables["curves"]
    deleted = changes[changes["condition"] == "delete"].set_index(["image", "word"])["whole"]
    ends = curves[curves["share"] == 1].set_index(["image", "word"])["change"]
    assert (ends == deleted.reindex(ends.index)).all()
    assert (curves[curves["share"] == 0]["change"] == 0).all()
    assert result.prompts == (CATS, OWLS)
    assert result.provenance["steps"] == 2


def test_random_words_are_of_each_class_with_places_apart(emoji_pipe):
    setup = Setup(emoji_pipe, ("a red cat chasing a dog in the snow",), 1, DrawingSettings(1))
    (sentence,) = setup.sentences
    cat, dog, snow = (sentence.index(word) for word in ("cat", "dog", "snow"))

    class Maps(dict):
        mapped = range(len(sentence))

    maps = Maps()
    maps.sentence = sentence
    edits = intervention._edits(maps, Edit((cat,)), (), frozenset(["snow"]), seed=0)
    edited = {name: edit.words for (name, _), edit in edits.items()}
    assert edited == {
        "delete": (cat,),
        "equal mass": (cat,),
        "random adjective": (sentence.index("red"),),
        "random verb": (sentence.index("chasing"),),
        "random noun": (dog,),
        "random noun of a place": (snow,),
    }


def test_pixels_are_ranked_by_the_map_of_the_deleted_word(emoji_pipe):
    setup = Setup(emoji_pipe, ("a red cat in the snow",), 1, DrawingSettings(1))
    (sentence,) = setup.sentences
    cat = sentence.index("cat")
    other = np.zeros((2, 2), dtype=np.float32)
    own = np.array([[0, 0], [0, 1]], dtype=np.float32)

    class Map:
        def __init__(self, values):
            self.values = values

    class Maps(dict):
        mapped = range(len(sentence))

    maps = Maps({token.index: Map(other) for token in sentence.tokens} | {cat: Map(own)})
    maps.sentence = sentence
    edits = intervention._edits(maps, Edit((cat,)), (0.25,), frozenset(), seed=0)
    np.testing.assert_array_equal(edits["most attended first", 0.25].where, own == 1)
    assert not edits["least attended first", 0.25].where[1, 1]


def test_deleting_where_attention_is_high_changes_the_image_more(result):
    curves = result.tables["curves"].query("share == 0.25").groupby("order")["change"].mean()
    assert curves["most attended first"] > 2 * curves["least attended first"]


@pytest.mark.slow
def test_words_are_scaled_in_a_window_of_steps_layers_and_heads(emoji_pipe):
    where = {"in_steps": slice(0, 1), "in_layers": ["up_blocks"], "in_heads": (0, 2)}
    halved = run_study(
        "intervention", emoji_pipe, prompts=[CATS], shares=(), scale=0.5, **where, **TINY
    )
    changes = halved.tables["changes"].set_index(["word", "condition"])["whole"]
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(TINY["steps"]).for_pipeline(emoji_pipe))
    (sentence,) = setup.sentences
    word = sentence.index("car")
    edit = Edit(
        (word,), scale=0.5, renormalize=False, steps=slice(0, 1), layers=["up_blocks"], heads=(0, 2)
    )
    with intervene(emoji_pipe, replace(edit, images=(1,)), sentences=sentence):
        original, edited = setup.draw(CATS, 0, copies=2)
    assert changes["car", "delete"] == pytest.approx(np.abs(edited - original).mean(), abs=2e-5)
    assert changes["car", "delete"] > 0
    found = halved.findings["Place of the change"]
    assert found[0].startswith("Word times 0.5, inside the word's mask")
    assert "was edited with scale 0.5, steps slice(0, 1, None)" in found[-1]
    assert halved.provenance["edit"]["heads"] == [0, 2]
    same = run_study("intervention", emoji_pipe, prompts=[CATS], shares=(), scale=1.0, **TINY)
    assert (same.tables["changes"]["whole"] == 0).all()


def test_insertion_is_deletion_read_backwards(result):
    means = result.tables["curve_means"].set_index(["kind", "curve", "share"])["mean"]
    most, least, _ = intervention.ORDERS
    assert means["insertion", most, 0.25] == means["deletion", least, 0.75]
    assert means["insertion", least, 0.25] == means["deletion", most, 0.75]


def test_a_result_is_written_completely(result, tmp_path):
    report = result.write(tmp_path / "new" / "folder")
    folder = report.parent
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "report.html",
        "study.json",
        *(f"{table}.csv" for table in result.tables),
        "estimates.tex",
        "curve_means.tex",  # the others have a row for each word, too wide for a page
        *(f"{figure}.{kind}" for figure in result.figures for kind in ("png", "pdf")),
    }
    page = report.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures)
    for title, found in result.findings.items():
        for prose in (title, *found):
            assert html.escape(prose).replace("&#x27;", "&#39;") in page
    for prose in (*result.design.figures.values(), *result.design.tables.values()):
        assert html.escape(prose).replace("&#x27;", "&#39;") in page
    assert CATS in page
    header = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert header["prompts"] == [CATS, OWLS]
    assert header["provenance"]["model"] == "emoji"
    assert header["findings"].keys() == result.findings.keys()
    changes = pd.read_csv(folder / "changes.csv")
    assert len(changes) == len(result.tables["changes"])


def test_labels_of_curves_stay_below_their_own_axes(result):
    figure = result.figures["curves"]
    figure.draw_without_rendering()
    first, second = (ax.xaxis.label.get_window_extent() for ax in figure.axes)
    assert first.x1 < second.x0
    assert second.x1 <= figure.bbox.x1
    assert [bool(ax.get_ylabel()) for ax in figure.axes] == [True, False]


def test_figures_are_closed_in_pyplot(result):
    listed = [plt.figure(number) for number in plt.get_fignums()]
    assert not any(figure in listed for figure in result.figures.values())


def test_prompts_that_do_not_suit_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="word to delete"):
        run_study("intervention", emoji_pipe, prompts="quickly", **TINY)


def test_ranked_masks():
    values = np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.7]])
    masks = intervention.ranked_masks(values, 0.5, seed=0)
    most, least, random = (masks[order] for order in intervention.ORDERS)
    assert most.tolist() == [[False, True, False], [True, False, True]]
    assert (least == ~most).all()
    assert random.sum() == 3
    assert (random == intervention.ranked_masks(values, 0.5, seed=0)["random"]).all()
