"""The study end to end with tiny settings, its findings from made-up tables, and what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from daam_syntax import runs
from daam_syntax.analysis import binding_table, measure_pairs
from daam_syntax.errors import StudyError
from daam_syntax.language import Edge, parse
from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.maps.measures import neglect
from daam_syntax.studies import run_study
from daam_syntax.studies.verdicts.evaluation import SETS, Evaluation, TooFew, evaluate
from daam_syntax.studies.verdicts.figures import draw_examples, draw_forest
from daam_syntax.studies.verdicts.findings import make_findings
from daam_syntax.studies.verdicts.judging.failures import ANY, FAILURES, KINDS
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates
from daam_syntax.studies.verdicts.map_measures import DESCRIPTIONS, measure_image
from daam_syntax.studies.verdicts.prompt_features import FEATURES, describe_prompt, nouns_of

PROMPTS = ["a red cat and a blue car", "a dog, a tree and a hat"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory, emoji_pipe):
    folder = tmp_path_factory.mktemp("verdicts") / "run"
    return runs.run(PROMPTS, folder, emoji_pipe, seeds=2, steps=1)


@pytest.fixture(scope="module")
def judged(stored):
    """The study of a stored run whose images the annotator judges."""
    return run_study("verdicts", stored)


def table(n_prompts=60, n_seeds=3, effect=3.0, seed=0):
    """A made-up table of images: missing objects come with overlap if there is an effect; few colors are wrong."""
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(n_prompts), n_seeds)
    n = len(prompts)
    made = pd.DataFrame({"prompt_id": [f"p{p}" for p in prompts], "seed": np.arange(n) % n_seeds})
    made["prompt"] = made["prompt_id"]
    for name in (*FEATURES, *DESCRIPTIONS):
        made[name] = rng.normal(size=n_prompts)[prompts] if name in FEATURES else rng.normal(size=n)
    odds = effect * (made["noun_noun_iou"] + made["noun_noun_phi"]) - 0.5
    made["missing"] = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    made["fused"] = np.nan
    made["color"] = np.where(np.arange(n) < 4, 1.0, 0.0)
    return made.assign(**{ANY: made["missing"]})


def evaluated(images, failures=("missing", "color")):
    nouns = {prompt: frozenset({"cat"}) for prompt in images["prompt"]}
    return {failure: evaluate(images, failure, nouns) for failure in failures}


@pytest.fixture(scope="module")
def true_world():
    images = table()
    return images, evaluated(images)


def sentences_of(findings, title):
    return next(finding.notes for finding in findings if finding.title == title)


def test_a_small_study_of_a_run_counts_and_claims_nothing(judged, tmp_path):
    images = judged.tables["images"]
    assert images[["prompt", "seed"]].values.tolist() == [[p, s] for p in PROMPTS for s in (0, 1)]
    assert images["missing"].isin([0, 1]).all()
    assert images["n_objects"].tolist() == [2, 2, 3, 3]
    assert np.isfinite(images[list(SETS["overlap"] + SETS["neglect"])]).all(axis=None)
    assert "scores" not in judged.tables
    assert judged.findings["Verdicts"][0] == "4 images of 2 prompts, judged by the annotator."
    assert "not judged in any image" in judged.findings["Verdicts"][3]  # one step draws no objects
    answers = judged.findings["Answers"]
    assert len(answers) >= 3
    assert all(answer.startswith("Nothing can be said about") for answer in answers)
    assert set(judged.tables["judge"]["failure"]) <= set(FAILURES)
    page = judged.write(tmp_path).read_text(encoding="utf-8")
    assert "at least 30 failures and 30 right images" in page


def test_drawing_gives_the_numbers_of_the_run(judged, emoji_pipe):
    drawn = run_study("verdicts", emoji_pipe, prompts=PROMPTS, seeds=2, steps=1, limit=1)
    images, stored = drawn.tables["images"], judged.tables["images"].iloc[:2]
    assert drawn.prompts == (PROMPTS[0],)
    pd.testing.assert_frame_equal(images[[*KINDS, ANY]], stored[[*KINDS, ANY]])
    # Stored maps have 16 bits, which may move a pixel across the threshold.
    pd.testing.assert_frame_equal(images[list(DESCRIPTIONS)], stored[list(DESCRIPTIONS)], atol=0.02)


def test_verdicts_of_a_file_replace_those_of_the_annotator(stored, judged, tmp_path):
    ids = judged.tables["images"]["prompt_id"].unique()
    file = tmp_path / "people.csv"
    file.write_text(f"prompt_id,seed,verdict\n{ids[0]},1,fused\n{ids[1]},0,right\n")
    result = run_study("verdicts", stored, verdicts=file, sensitivity=0.9, specificity=0.95)
    assert result.tables["images"]["fused"].fillna(-1).tolist() == [-1, 1, 0, -1]
    assert result.findings["Verdicts"] == (
        "4 images of 2 prompts, judged by a file.",
        "An object is missing: 0 of 2 images, in 0 prompts; 2 images without a verdict left out.",
        "Two nouns have one object: 1 of 2 images, in 1 prompt; 2 images without a verdict left out.",
        "An object has a wrong color: 0 of 2 images, in 0 prompts; 2 images without a verdict left out.",
        "Something is wrong: 1 of 2 images, in 1 prompt; 2 images without a verdict left out.",
    )
    first = tmp_path / "first.csv"
    first.write_text(f"prompt_id,seed,missing\n{ids[0]},0,1\n")
    limited = run_study("verdicts", stored, verdicts=first, limit=1)
    assert limited.tables["images"]["prompt"].unique().tolist() == PROMPTS[:1]
    with pytest.raises(StudyError, match="belongs to no image"):
        run_study("verdicts", stored, verdicts=file, limit=1)


def test_other_models_need_a_file(sd, tmp_path):
    with pytest.raises(StudyError, match=r"--verdicts FILE"):
        run_study("verdicts", sd, prompts=PROMPTS, seeds=1, steps=1)
    file = tmp_path / "scores.csv"
    file.write_text(f'prompt,seed,vqascore\n"{PROMPTS[0]}",0,0.2\n"{PROMPTS[1]}",0,0.9\n')
    result = run_study("verdicts", sd, prompts=PROMPTS, seeds=1, steps=1, verdicts=file)
    assert result.tables["images"][ANY].tolist() == [1, 0]
    assert result.findings["Verdicts"][1] == "An object is missing: not judged in any image."
    assert len(result.findings["Answers"]) == 1


def test_a_run_without_images_needs_a_file(stored, monkeypatch):
    monkeypatch.setattr(type(stored), "pil_images", lambda *_: iter(()))
    with pytest.raises(StudyError, match=r"has maps only: pass a file of verdicts"):
        run_study("verdicts", stored)


def test_a_run_without_any_image_is_refused(stored, monkeypatch):
    monkeypatch.setattr(type(stored), "numbered_maps", lambda *_: iter(()))
    with pytest.raises(StudyError, match="the run has none yet: continue it"):
        run_study("verdicts", stored)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sensitivity": 0.9}, "together, for the judge of a file"),
        ({"sensitivity": 0.9, "specificity": 0.9}, "together, for the judge of a file"),
        ({"limit": 0}, "at least 1 prompt, but got 0"),
    ],
)
def test_options_that_cannot_be_are_refused(stored, options, match):
    with pytest.raises(StudyError, match=match):
        run_study("verdicts", stored, **options)


def test_rates_of_a_judge_that_guesses_are_refused(stored, tmp_path):
    with pytest.raises(StudyError, match=r"sum is above 1.*0\.5 and 0\.4"):
        run_study("verdicts", stored, verdicts=tmp_path / "x", sensitivity=0.5, specificity=0.4)


def test_measures_of_an_image_are_those_of_its_tables(stored):
    maps = next(iter(stored.maps()))
    found = measure_image(maps, frozenset(), "relative:0.4")
    pairs = measure_pairs(maps, schemes="ud")
    nouns = pairs[(pairs["head"] == "cat") & (pairs["dependent"] == "car")]
    assert found["noun_noun_iou"] == nouns["iou"].item()
    assert found["noun_noun_phi"] == nouns["phi"].item()
    related = pairs[pairs["kind"] == "dependency"]
    assert found["head_dependent_iou"] == pytest.approx(related["iou"].mean())
    assert found["binding_margin"] == binding_table(maps)["binding_margin"].min()
    means = maps.stack([2, 6]).mean(axis=(1, 2))
    assert found["least_attention"] == pytest.approx(means.min())
    assert found["least_share"] == pytest.approx(means.min() / means.mean())
    assert found["neglect"] == pytest.approx(neglect(maps.stack([2, 6])).max())
    alone = measure_image(maps, frozenset({"car"}), "relative:0.4")
    assert np.isnan([alone["noun_noun_iou"], alone["least_share"]]).all()


@pytest.mark.parametrize(
    ("prompt", "noun", "color"),
    [("the cat is red and the car is small", 1, 3), ("a cat that is red next to a car", 1, 4)],
)
def test_predicate_adjectives_are_bound_to_their_nouns(prompt, noun, color):
    """As if the parse had them as modifiers."""
    sentence = parse(prompt)
    rng = np.random.default_rng(3)
    subwords = [
        Subword(token.index, token.text, token.start, token.end) for token in sentence.tokens
    ]
    data = xr.DataArray(rng.random((len(subwords), 8, 8)), dims=("token", "y", "x"))
    maps = HeatMaps(data, subwords, sentence, (8, 8))
    modified = replace(sentence, edges={**sentence.edges, "ud": (Edge(noun, color, "amod"),)})
    expected = [binding_table(maps.with_sentence(modified))["binding_margin"].item()]
    if "small" in prompt:
        other = replace(sentence, edges={**sentence.edges, "ud": (Edge(6, 8, "amod"),)})
        expected.append(binding_table(maps.with_sentence(other))["binding_margin"].item())
    found = measure_image(maps, frozenset(), "relative:0.4")
    assert np.isfinite(expected).all()
    assert found["binding_margin"] == min(expected)


def test_features_of_a_prompt():
    sentence = parse("a red fire truck and a dog in a field")
    found = describe_prompt(sentence, frozenset({"field"}))
    wanted = {"n_objects": 2, "n_places": 1, "n_words": 10, "n_adj": 1, "n_det": 3, "n_adp": 1}
    assert found | wanted | {"n_colors": 1, "n_aux": 0} == found
    assert nouns_of(sentence, frozenset({"field"})) == {"truck", "dog"}


def test_what_predicts_a_failure_is_found_and_said(true_world):
    images, found = true_world
    findings = make_findings(images, found, {}, "people")
    answers = sentences_of(findings, "Answers")
    assert (
        "The overlap of maps predicts that an object is missing beyond what is counted of the prompt"
        in answers[1]
    )
    assert "with an AUC of " in answers[0]
    assert answers[0].count("95% interval") == 1
    assert any(
        "No evidence was found that the binding of modifiers" in answer for answer in answers
    )
    assert any(
        "those in which an object is missing differ as expected from the others" in answer
        and "phi of two nouns" in answer
        for answer in answers
    )
    assert answers[-1].startswith(
        "Nothing can be said about whether an object has a wrong color: 4 "
    )
    assert "which at this rate are about 1,350 images" in answers[-1]
    assert "not judged in any image" in sentences_of(findings, "Verdicts")[2]
    assert "not known, so nothing is corrected" in findings[-1].notes[0]


def test_scores_and_corrections(true_world):
    images, found = true_world
    assert isinstance(found["color"], TooFew)
    evaluation = found["missing"]
    assert isinstance(evaluation, Evaluation)
    scores = evaluation.table().set_index("predictors")
    assert len(scores) == 1 + 2 * len(SETS)
    assert scores.loc["overlap", "auc"] > 0.85 > 0.65 > scores.loc["binding", "auc"]
    assert scores.loc["overlap", "brier_skill"] > 0.3 > 0.1 > scores.loc["binding", "brier_skill"]
    for name in ("auc", "average_precision", "brier_skill", "log_skill"):
        assert (scores[f"{name}_low"] < scores[name]).all()
        assert (scores[name] < scores[f"{name}_high"]).all()
    rates = {"missing": ErrorRates(0.95, 0.97, 50, 50)}
    (finding,) = (
        f for f in make_findings(images, found, rates, "people") if "Corrected" in f.title
    )
    raw, corrected = scores.loc["prompt and all maps"], finding.estimates[1]
    assert corrected.estimate > raw["auc"]
    assert corrected.high - corrected.low > raw["auc_high"] - raw["auc_low"]
    assert "right about 95.0% of failures and 97.0% of right images" in finding.notes[0]


def test_figures_show_every_set_and_examples(true_world):
    images, found = true_world
    figure = draw_forest({"missing": found["missing"]})
    assert "An object is missing" in figure.axes[0].get_title(loc="left")
    assert len(figure.axes[0].get_yticklabels()) == 1 + 2 * len(SETS)
    three = draw_forest(dict.fromkeys(("missing", "fused", "color"), found["missing"])).axes
    assert [bool(ax.get_xlabel()) for ax in three] == [
        False,
        True,
        True,
        False,
    ]  # below each column
    keys = zip(images["prompt_id"], images["seed"], strict=True)
    thumbnails = {key: np.zeros((8, 8, 3)) for key in keys}
    examples = draw_examples(images, thumbnails)
    shown = [ax.get_title() for ax in examples.axes if ax.get_title()]
    assert len(shown) == 8 + 6  # four images on each side; two prompts have a wrong color
    assert len({text.split("\n")[0] for text in shown[4:8] + shown[10:]}) == 8
    phis = [float(text.split("phi ")[1].replace("\N{MINUS SIGN}", "-")) for text in shown]
    assert phis[0] == max(phis[:4]) > 0 > phis[4]
    assert draw_examples(images, {}) is None
