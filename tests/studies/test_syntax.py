"""The study of dependency relations end to end with tiny settings, and its slopes on made-up pairs."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.errors import StudyError
from daam_syntax.studies import run_study
from daam_syntax.studies.syntax import dose_slopes, is_paper_relation

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
    joined = pairs[pairs["kind"] == "dependency"]
    by_image = joined.groupby(["prompt_id", "image"])["iou"].mean()
    expected = by_image.groupby("prompt_id").mean().mean()
    assert estimates["estimate"][0] == pytest.approx(expected)
    assert f"{expected:.3f}" in result.findings["Related and unrelated words"][0]
    assert set(result.tables["sweep"]["threshold"]) == {"relative:0.3", "relative:0.6"}
    assert result.tables["dose"]["tree_distance"].min() == 1
    assert result.provenance["steps"] == 2


def test_content_words_are_compared_among_themselves(result):
    pairs, estimates = result.tables["pairs"], result.tables["estimates"]
    function_words = {"a", "and", "on"}
    content = pairs[~pairs["head"].isin(function_words) & ~pairs["dependent"].isin(function_words)]
    means = content.groupby(["kind", "prompt_id"])["iou"].mean()
    known = estimates[estimates["answer"] == "Among content words"]["estimate"].tolist()
    joined, unrelated = means["dependency"], means["unrelated"]
    assert known[:2] == pytest.approx([joined.mean(), unrelated.mean()])
    assert known[2] == pytest.approx((joined - unrelated).mean())


def test_a_result_is_written(result, tmp_path):
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures) == 4


def test_words_without_dependencies_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="depends on another word"):
        run_study("syntax", emoji_pipe, prompts="cat", seeds=1, steps=1)


def test_slopes_hold_linear_distance_constant():
    tree, linear = np.array([1, 1, 2, 3, 2]), np.array([1, -3, 2, 4, -5])
    pairs = pd.DataFrame(
        {
            "prompt_id": "p",
            "image": 0,
            "kind": ["dependency", "dependency", "unrelated", "unrelated", "unrelated"],
            "tree_distance": pd.array(tree, dtype="Int64"),
            "linear_distance": linear,
            "iou": 0.9 - 0.1 * tree - 0.02 * np.abs(linear),
        }
    )
    alone = pairs.assign(image=1)[:2]
    slopes = dose_slopes(pd.concat([pairs, alone]))
    assert slopes["slope"][0] == pytest.approx(-0.1)
    assert np.isnan(slopes["slope"][1])
    assert "collinear" in slopes["reason"][1]


@pytest.mark.parametrize(
    ("relation", "marked"), [("conj:and", True), ("dobj", True), ("nmod", True), ("advmod", False)]
)
def test_relations_of_the_paper(relation, marked):
    assert is_paper_relation(relation) is marked
