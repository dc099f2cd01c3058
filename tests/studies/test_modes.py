"""The study of modes end to end with tiny settings, and its measures on made-up outcomes."""

import math

import numpy as np
import pytest

from daam_syntax.errors import StudyError
from daam_syntax.studies import run_study
from daam_syntax.studies.modes import diversity, image_distances

PROMPTS = ["a bird", "a red car"]


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("modes", emoji_pipe, prompts=PROMPTS, seeds=3, steps=2)


def test_end_to_end(result, tmp_path):
    table = result.tables["diversity"]
    assert list(table["aspect"]) == ["noun", "color", "place"] * 2
    assert (table["n"] == 3).all()
    assert table["evenness"].between(0, 1).all()
    occurrences = result.tables["occurrences"]
    assert set(occurrences.groupby(["aspect", "prompt"])["n_images"].sum()) == {3}
    distances = result.tables["image_differences"]
    assert (distances["within"] > 0).all()
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures) == 2


def test_one_seed_is_refused(emoji_pipe):
    with pytest.raises(StudyError, match="two seeds"):
        run_study("modes", emoji_pipe, prompts=PROMPTS, seeds=1, steps=1)


def test_a_collapsed_prompt_has_no_diversity():
    found = diversity(["cat"] * 10, 57)
    assert found == {"n": 10, "n_different": 1, "coverage": 1, "entropy": 0, "evenness": 0}


def test_diversity_by_hand():
    found = diversity(["a", "a", "b", "c"], 8)
    plain = 0.5 * 1 + 2 * 0.25 * 2
    assert found["entropy"] == pytest.approx(plain + 2 / (2 * 4 * math.log(2)))
    assert found["evenness"] == pytest.approx(found["entropy"] / 3)
    assert found["coverage"] == 0.5
    assert diversity(["a", "b"], 2)["evenness"] == 1


def test_the_correction_removes_most_of_the_bias():
    rng = np.random.default_rng(0)
    means = np.mean(
        [diversity(rng.integers(4, size=12).tolist(), 16)["entropy"] for _ in range(500)]
    )
    assert means == pytest.approx(2, abs=0.03)


def test_distances_of_images():
    levels = [0.0, 0.2, 1.0, 1.0]
    images = np.stack([np.full((2, 3, 3), level) for level in levels])
    found = image_distances(images, ["a", "a", "b", "b"]).set_index("prompt")
    assert found["within"].to_list() == pytest.approx([0.2, 0])
    assert found["between"].to_list() == pytest.approx([0.9, 0.9])
    assert found["relative"].to_list() == pytest.approx([0.2 / 0.9, 0])
    alone = image_distances(images[:2], ["a", "a"])
    assert np.isnan(alone["relative"][0])
    assert "other prompts" in alone["reason"][0]
