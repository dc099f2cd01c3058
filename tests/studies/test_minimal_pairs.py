"""The study of minimal pairs end to end with tiny settings, and the pairing of prompts."""

import numpy as np
import pytest

from daam_syntax.errors import PromptError, StudyError
from daam_syntax.language import PromptSet, parse_many
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import run_study
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.minimal_pairs import pair_up

PROMPTS = ["a red cat on a bed", "a red dog on a bed", "a small owl", "a big owl"]


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("minimal-pairs", emoji_pipe, prompts=PROMPTS, seeds=2, steps=2)


def test_end_to_end(result, tmp_path):
    words, images = result.tables["words"], result.tables["images"]
    assert set(images.groupby(["prompt", "seed"])["condition"].nunique()) == {2}
    assert list(images["exchanged"].unique()) == ["cat / dog", "small / big"]
    assert len(words) == 2 * 2 * (6 + 3)
    assert (words["reason"] == "").all()
    assert words["divergence"].between(0, 1).all()
    assert (images["change"] > 0).all()
    change = images[images["condition"] == "other word"].groupby("prompt")["change"].mean()
    assert result.tables["estimates"]["estimate"][0] == pytest.approx(change.mean())
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures) == 2


def test_the_two_words_are_drawn_from_the_same_noise(emoji_pipe, result):
    setup = Setup(emoji_pipe, (), 2, DrawingSettings(2).for_pipeline(emoji_pipe))
    first, second = (setup.draw(prompt, 1, noise_of=PROMPTS[0]) for prompt in PROMPTS[:2])
    images = result.tables["images"].set_index(["prompt", "seed", "condition"])["change"]
    change = np.abs(second - first).mean()
    assert images[PROMPTS[0], 1, "other word"] == pytest.approx(change)


def test_roles_follow_the_tree():
    (pair,) = pair_up(parse_many(["a red cat on a bed", "a red dog on a bed"]))
    assert pair.exchanged == "cat / dog"
    roles = [pair.role(index) for index in range(len(pair.first))]
    assert roles[:3] == ["its head or dependent", "its head or dependent", "exchanged word"]
    assert roles[4] == "another word"


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a cat", "a dog", "a cow"], "'a cow' is left over"),
        (["a cat", "the dog"], "differ in one word"),
        (["a cat", "a cat here"], "differ in one word"),
    ],
)
def test_other_prompts_are_refused(emoji_pipe, prompts, message):
    with pytest.raises(StudyError, match=message):
        run_study("minimal-pairs", emoji_pipe, prompts=prompts, seeds=1, steps=1)


def test_pairs_of_a_prompt_set_are_drawn_and_articles_follow_suit(emoji_pipe):
    rows = [("a cat", "p"), ("a big bed", "q"), ("an owl", "p"), ("a tiny bed", "q")]
    prompts = PromptSet.from_records({"prompt": text, "pair": pair} for text, pair in rows)
    result = run_study("minimal-pairs", emoji_pipe, prompts=prompts, seeds=1, steps=1)
    assert result.prompts == ("a cat", "an owl", "a big bed", "a tiny bed")
    images = result.tables["images"]
    assert list(images["exchanged"].unique()) == ["cat / owl", "big / tiny"]
    broken = PromptSet.from_records([{"prompt": t, "pair": "p"} for t in ("a cat", "the big dog")])
    with pytest.raises(PromptError, match="differ in one word"):
        run_study("minimal-pairs", emoji_pipe, prompts=broken, seeds=1, steps=1)
