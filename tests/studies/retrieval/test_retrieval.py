"""The study of retrieval end to end with tiny settings, compared with a trace; slots by hand."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from daam_syntax.attention import trace
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import run_study
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.retrieval import attention_reader

CATS = "a red cat and a blue car"
OWLS = "a small owl on a green bed"
TINY = {"seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def memory(emoji_pipe):
    return run_study("retrieval", emoji_pipe, prompts=[CATS, OWLS], **TINY)


def test_retrieval_end_to_end(memory):
    heads = memory.tables["heads"]
    groups = [group for group in attention_reader.GROUPS if group in heads]
    assert groups == ["start", "content", "function", "end", "padding"]
    np.testing.assert_allclose(heads[groups].sum(axis=1), 1, atol=1e-5)
    assert heads["slots"].between(1, heads["n_keys"]).all()
    assert (heads["entropy"] <= np.log(heads["slots"]) + 1e-6).all()  # Jensen's inequality
    n_layers = heads["layer"].nunique()
    assert len(heads) == 2 * 2 * n_layers * 4  # images x steps x layers x attention heads
    words = memory.tables["words"]
    cats = words[words["prompt"] == CATS]
    assert cats.groupby("word_index")["word"].first().tolist() == CATS.split()
    per_head = heads[heads["prompt"] == CATS].groupby(["layer", "attention_head"])[
        ["content", "function"]
    ]
    np.testing.assert_allclose(
        cats.groupby(["layer", "attention_head"])["share"].sum(),
        per_head.mean().sum(axis=1),
        atol=1e-5,
    )


def test_figures_are_closed_in_pyplot(memory):
    listed = [plt.figure(number) for number in plt.get_fignums()]
    assert not any(figure in listed for figure in memory.figures.values())


def test_retrieval_reads_what_a_trace_records(memory, emoji_pipe):
    """A share is a sum over subwords and a map is a mean: in one layer, they differ by the number of subwords."""
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    with trace(emoji_pipe, layers="mid_block") as recording:
        setup.draw(CATS, 0)
    (maps,) = recording.heat_maps()
    words = memory.tables["words"]
    of_layer = words[(words["prompt"] == CATS) & words["layer"].str.contains("mid_block")]
    shares = of_layer.groupby("word_index")["share"].mean()
    n_subwords = [len(word.subwords) for word in maps.words]
    assert max(n_subwords) == 2
    np.testing.assert_allclose(shares, maps.stack().mean(axis=(1, 2)) * n_subwords, rtol=1e-4)


def test_slots():
    weights = torch.tensor([[[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]], [[1, 0, 0, 0]] * 2])
    entropy, slots = attention_reader.slots(weights.double())
    np.testing.assert_allclose(entropy, [[np.log(4), np.log(2)], [0, 0]])
    np.testing.assert_allclose(slots, [[4, 2], [1, 1]])
