"""The study of sanity checks end to end with tiny settings, randomized weights, and reliability by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from daam_syntax.analysis import attention_shares
from daam_syntax.language import parse
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import run_study
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.sanity import randomizing, reliability

CATS = "a red cat and a blue car"
OWLS = "a small owl on a green bed"


@pytest.fixture(scope="module")
def checks(emoji_pipe):
    return run_study("sanity", emoji_pipe, prompts=[CATS, OWLS], seeds=2, steps=2)


def test_sanity_end_to_end(checks, emoji_pipe):
    table = checks.tables["correlations"]
    assert table["correlation"].between(-1, 1).all()
    counts = table[table["prompt"] == CATS].groupby("comparison").size().to_dict()
    assert counts == {
        "another seed": 4,  # content words, of one pair of seeds
        "another word": 2 * 4 * 3,
        "randomized": 2 * 4,
        "same word, phrases swapped": 2 * 2,
        "same position, phrases swapped": 2 * 2,
    }
    areas = checks.tables["areas"]
    assert areas["word"].tolist() == ["car", "blicket", "car", "blicket"] + ["bed", "blicket"] * 2
    (reliability,) = checks.tables["reliability"].to_dict("records")
    assert reliability["n_words"] == 8
    assert "fewer than 5 prompts" in reliability["reason"]


def test_figures_are_closed_in_pyplot(checks):
    listed = [plt.figure(number) for number in plt.get_fignums()]
    assert not any(figure in listed for figure in checks.figures.values())


def test_shares_of_kinds_are_those_of_the_recording(checks, emoji_pipe):
    table = checks.tables["kinds"]
    np.testing.assert_allclose(table.groupby("image")["attention"].sum(), 1, atol=0.01)
    assert (
        table[table["prompt"] == CATS]["kind"].to_list() == ["start", "text", "end", "padding"] * 2
    )
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    _, maps = setup.trace(parse(CATS), 0, padding=True)
    shares = attention_shares(maps).set_index("kind")
    first = table[table["image"] == table["image"].iloc[0]].set_index("kind")
    np.testing.assert_allclose(first["attention"], shares["attention"][first.index], rtol=1e-4)
    assert (first["n_tokens"] == shares["n_tokens"][first.index]).all()
    assert (first["whole"] > 0).all()
    assert first["on_nouns"].between(0, 1).all()


def test_randomized_weights_are_restored(emoji_pipe):
    unet = emoji_pipe.unet
    before = {name: weight.clone() for name, weight in unet.named_parameters()}
    with randomizing.randomized(emoji_pipe, 0):
        now = {name: weight.clone() for name, weight in unet.named_parameters()}
    changed = [name for name in before if not torch.equal(now[name], before[name])]
    for name in changed:
        assert torch.equal(now[name].flatten().sort().values, before[name].flatten().sort().values)
    with pytest.raises(KeyError), randomizing.randomized(emoji_pipe, 1):
        raise KeyError
    n_attentions = sum(path.endswith("attn2") for path, _ in unet.named_modules())
    assert len(changed) == 2 * n_attentions
    assert all("attn2.to_q" in name or "attn2.to_k" in name for name in changed)
    assert all(torch.equal(weight, before[name]) for name, weight in unet.named_parameters())


def test_split_half():
    """The even seed has the values (1, 2, 3) and the odd seed (4, 2, 3), or both have the same values."""
    words = pd.DataFrame(
        [
            {"prompt_id": "p", "word_index": word, "seed": seed, "effective_area": value}
            for seed, values in enumerate([(1, 2, 3), (4, 2, 3)])
            for word, value in enumerate(values)
        ]
    )
    found = reliability.split_half(words)
    assert found["r"] == pytest.approx(-0.5)
    assert found["reliability"] == pytest.approx(-2.0)
    assert reliability.split_half(words[words["seed"] == 0])["reason"].startswith(
        "needs at least two seeds"
    )
    same = pd.concat(
        [words.assign(prompt_id=str(i), effective_area=words["word_index"] + i) for i in range(6)]
    )
    found = reliability.split_half(same, n_resamples=50)
    assert (found["r"], found["low"], found["high"]) == pytest.approx((1, 1, 1))
    assert (found["n_words"], found["n_prompts"], found["reason"]) == (18, 6, "")
