"""The study of dependency relations end to end with tiny settings, and its table of the paper."""

import numpy as np
import pytest

from daam_syntax.analysis import regress, summarize
from daam_syntax.errors import FileError, StudyError
from daam_syntax.studies import run_study
from daam_syntax.studies.syntax.paper import (
    PAPER_RELATIONS,
    is_paper_relation,
    paper_table,
    read_published,
)
from daam_syntax.studies.syntax.study import make_findings

PROMPTS = ["a red cat and a blue car", "a small owl on a green bed", "a dog chasing a yellow duck"]


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study(
        "syntax", emoji_pipe, prompts=PROMPTS, seeds=2, steps=2, sweep_values=(0.3, 0.6)
    )


def test_every_pair_of_every_image_is_measured(result):
    pairs = result.tables["pairs"]
    assert pairs.groupby(["prompt", "seed"]).ngroups == 6
    assert set(pairs["kind"]) == {"dependency", "unrelated"}
    relations = result.tables["relations"].set_index("relation")
    assert relations.loc["amod", "n_prompts"] == 3
    assert relations.loc["amod", "in_paper"]
    assert not relations.loc["unrelated", "in_paper"]


def test_findings_agree_with_the_tables(result):
    pairs, estimates = result.tables["pairs"], result.tables["estimates"]
    pooled = summarize(pairs, by="kind").set_index("kind").loc["dependency"]
    assert estimates["measure"][:2].tolist() == ["iou", "phi"]
    assert estimates["estimate"][0] == pytest.approx(pooled["difference"])
    assert estimates["estimate"][1] == pytest.approx(pooled["corrected"])
    first, *_ = result.findings["Heads and their dependents, compared with exchanged partners"]
    assert "IoU" in first
    assert "phi" in first
    assert set(result.tables["sweep"]["threshold"]) == {"relative:0.3", "relative:0.6"}
    assert result.tables["dose"]["tree_distance"].min() == 1
    assert result.provenance["steps"] == 2


def test_other_words_are_described_and_not_compared(result):
    pairs, estimates = result.tables["pairs"], result.tables["estimates"]
    described = estimates[estimates["answer"].str.startswith("Means of related")]
    assert described["p"].isna().all()
    joined = pairs[pairs["kind"] == "dependency"]
    by_image = joined.groupby(["prompt_id", "image"])["iou"].mean()
    expected = by_image.groupby("prompt_id").mean().mean()
    assert described["estimate"].iloc[0] == pytest.approx(expected)


def test_a_measure_that_no_unrelated_pair_has_gets_no_slope(result):
    """A map that covers the whole image has no phi; in a single short prompt that may be every unrelated pair."""
    pairs = result.tables["pairs"].copy()
    pairs.loc[pairs["kind"] == "unrelated", "phi"] = np.nan
    *_, slope = make_findings(pairs, summarize(pairs), "iou")
    assert [each.measure for each in slope.estimates] == ["iou"]
    (note,) = slope.notes
    assert note.startswith("No slope of phi, which is undefined for every pair")
    assert "study more prompts" in note
    with pytest.raises(
        ValueError, match=r"with a value of phi, .* but none of \d+ such pairs has one"
    ):
        regress(pairs, "phi", by=None, covariates=["tree_distance"])
    joined = pairs[pairs["kind"] == "dependency"]
    with pytest.raises(ValueError, match="the table has no such pair: measure more prompts"):
        regress(joined, "iou", reference="exchanged")


def test_a_relation_in_few_prompts_is_named_and_not_tested(result):
    notes = result.findings["What each relation adds"]
    assert any(note.startswith("Compared in fewer than 5 prompts") for note in notes)


def test_the_table_of_the_paper(result, tmp_path):
    table = result.tables["paper"].set_index("relation")
    assert list(table.index) == ["unrelated pairs", "all head-dependent pairs", *PAPER_RELATIONS]
    pairs = result.tables["pairs"]
    amod = pairs[pairs["relation"] == "amod"]
    assert table.loc["amod", "n_pairs"] == len(amod)
    assert table.loc["amod", "iod"] == pytest.approx(
        amod.groupby(["prompt_id", "image"])["iod"].mean().groupby("prompt_id").mean().mean()
    )
    assert table.loc["punct", "n_prompts"] == 0
    assert np.isnan(table.loc["punct", "iou"])
    assert table[["paper_iod", "paper_ioh", "paper_iou"]].isna().all(axis=None)
    assert (table["source"] == "").all()
    path = tmp_path / "published.csv"
    path.write_text("relation,iod,ioh,iou\namod,0.6,0.7,0.5\n", encoding="utf-8")
    own = paper_table(pairs, read_published(path), path).set_index("relation")
    assert own.loc["amod", ["paper_iod", "paper_ioh", "paper_iou"]].tolist() == [0.6, 0.7, 0.5]
    assert own.loc["amod", "source"] == str(path)
    assert own.loc["compound", "source"] == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relation,iod\namod,0.6\n", "lacks ioh, iou"),
        ("relation,iod,ioh,iou\namod,60,70,50\n", "by 100"),
    ],
)
def test_published_values_that_cannot_be_used_are_refused(tmp_path, text, message):
    path = tmp_path / "published.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=message):
        read_published(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_published(tmp_path / "missing.csv")


def test_a_result_is_written(result, tmp_path):
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures) == 4


def test_words_without_dependencies_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="depends on another word"):
        run_study("syntax", emoji_pipe, prompts="cat", seeds=1, steps=1)


def test_prompts_without_unrelated_pairs_are_described(emoji_pipe):
    result = run_study("syntax", emoji_pipe, prompts="red cat", seeds=1, steps=1)
    assert "dose" not in result.tables
    (first,) = result.findings["Heads and their dependents, compared with exchanged partners"]
    assert "no unrelated pairs to exchange partners with" in first
    assert "nan" not in " ".join(sum(result.findings.values(), ()))


@pytest.mark.parametrize(
    ("relation", "marked"), [("conj:and", True), ("dobj", True), ("nmod", True), ("advmod", False)]
)
def test_relations_of_the_paper(relation, marked):
    assert is_paper_relation(relation) is marked
