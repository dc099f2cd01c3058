"""Attention against the tree: planted trees are found, nothing is found in a null world, and the study end to end."""

import numpy as np
import pandas as pd
import pytest
import torch

from daam_syntax.analysis import estimate_mean
from daam_syntax.attention import trace
from daam_syntax.drawing import generator_seed
from daam_syntax.language import Edge, Sentence, Token, parse
from daam_syntax.studies import run_study
from daam_syntax.studies.where_is_syntax.attachment import (
    PromptAttention,
    hits_and_counts,
    share_in,
    spanning_tree,
)
from daam_syntax.studies.where_is_syntax.overlap import agreement
from daam_syntax.studies.where_is_syntax.recording import KEEP, randomized, related
from daam_syntax.studies.where_is_syntax.scoring import (
    by_dependency,
    by_head,
    halves,
    score,
    tree_scores,
)
from daam_syntax.studies.where_is_syntax.trees import permuted_heads, shuffled, tree_of
from helpers.commands import run_here
from helpers.family_pipelines import make


def sentence(heads, name="s"):
    tokens = tuple(
        Token(i, f"{name}{i}", f"{name}{i}", "NOUN", "NN", 3 * i, 3 * i + 2)
        for i in range(len(heads))
    )
    edges = tuple(Edge(head, i, "dep") for i, head in enumerate(heads) if head >= 0)
    return Sentence(" ".join(t.text for t in tokens), tokens, {"ud": edges}, (), "by hand")


def attention(heads, values, causal=False):
    return PromptAttention(tree_of(sentence(heads), range(len(heads))), np.array(values), causal)


def random_heads(rng, n):
    """Return a random tree."""
    order = rng.permutation(n)
    heads = np.full(n, -1)
    for place in range(1, n):
        heads[order[place]] = order[rng.integers(place)]
    return heads


def world(seed, n_prompts, *, effect=0.0, causal=False, n_heads=4):
    """Return attention of two layers that depends on positions alone, plus an effect of the tree in one head."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(2, n_heads, 13))
    prompts = []
    for _ in range(n_prompts):
        n = int(rng.integers(5, 9))
        heads = random_heads(rng, n)
        distance = np.arange(n)[:, None] - np.arange(n)
        logits = slopes[..., np.clip(distance, -6, 6) + 6] + rng.normal(size=(2, n_heads, n, n))
        for dependent, head in enumerate(heads):
            if head >= 0:
                logits[1, -1, dependent, head] += effect
        weights = np.exp(logits)
        if causal:
            weights *= np.tri(n)
        prompts.append(attention(heads, weights / weights.sum(-1, keepdims=True), causal))
    return prompts


def test_attachment_by_hand():
    # word 0 is the head of 1, 1 of 2, 3 has none
    heads = [-1, 0, 1, -1]
    values = np.array(
        [
            [0.1, 0.2, 0.3, 0.4],
            [0.5, 0.1, 0.2, 0.2],
            [0.4, 0.3, 0.2, 0.1],
            [0.1, 0.2, 0.6, 0.1],
        ]
    )[None, None]
    prompt = attention(heads, values)
    hits, counts = hits_and_counts([prompt], [np.array(heads)])
    # 1 attends to 0 most: found; 2 attends to 0, not to 1. Of those that attend to 1, 2 does most; to 2, 3 does most.
    np.testing.assert_array_equal(prompt.predicted[0, 0, 0], [3, 0, 0, 2])
    np.testing.assert_array_equal(prompt.predicted[1, 0, 0], [1, 2, 3, 0])
    np.testing.assert_array_equal(counts, [[2, 2]])
    np.testing.assert_array_equal(hits[0, :, 0, 0], [1, 0])
    causal = attention(heads, values * np.tri(4), causal=True)
    # Only edges to earlier heads can be read from the dependent, and one with a single candidate says nothing.
    _, counts = hits_and_counts([causal], [np.array(heads)])
    np.testing.assert_array_equal(counts, [[1, 0]])
    assert causal.predicted[0, 0, 0, 2] == 0


def test_sinks_are_left_out():
    values = np.full((1, 1, 4, 4), 0.05)
    values[..., 0] = 0.8
    values[0, 0, 3, 1] = 0.15
    prompt = attention([-1, 0, 0, 1], values)
    np.testing.assert_array_equal(prompt.sinks[0, 0], [True, False, False, False])
    assert prompt.predicted[0, 0, 0, 3] == 1
    assert 0 not in prompt.predicted[0, 0, 0]


def test_a_planted_tree_is_found():
    prompts = world(0, 40, effect=3.0)
    parts = halves(len(prompts), 0)
    found = score(prompts, parts, n_permutations=199)
    assert (found.choice.direction, found.choice.layer, found.choice.head) == (0, 1, 3)
    assert found.p_permuted == 1 / 200
    means = {name: np.nanmean(values) for name, values in found.scores.items()}
    assert means["attention"] > 0.5 + max(means[c] for c in means if c != "attention") / 2
    trees = tree_scores(prompts, parts, n_permutations=199)
    assert trees["attention"].mean() > trees["permuted trees"].mean() + 0.08
    table = by_dependency(prompts, parts, ["a", "b"], n_permutations=99)
    assert table.loc[0, ["layer", "attention_head"]].tolist() == ["b", 3]
    assert table.loc[0, "attachment"] > table.loc[0, "permuted"] + 0.3


@pytest.mark.parametrize("causal", [False, True])
def test_a_null_world_keeps_the_level(causal):
    n_worlds, p_exact, p_mean = 60, [], []
    for seed in range(n_worlds):
        prompts = world(seed, 16, causal=causal, n_heads=2)
        found = score(prompts, halves(len(prompts), seed), n_permutations=59, seed=seed)
        p_exact.append(found.p_permuted)
        scores = found.scores
        difference = scores["attention"] - scores["permuted trees"]
        p_mean.append(np.nanmean(difference) / (np.nanstd(difference) / len(difference) ** 0.5))
    # 60 worlds: a level of 5 % gives 8 or more with probability 0.01.
    assert np.sum(np.array(p_exact) <= 0.05) < 8
    assert np.sum(np.array(p_mean) > 1.9) < 8
    assert abs(np.mean(p_mean)) < 0.5


def test_permuted_trees_keep_their_edge_lengths():
    heads = np.array([2, 2, -1, 2, 5, 3, 5])
    found = permuted_heads(heads, np.random.default_rng(0), 500)
    lengths = np.sort((heads - np.arange(7))[heads >= 0])
    for row in found:
        np.testing.assert_array_equal(np.sort((row - np.arange(7))[row >= 0]), lengths)
    assert len({tuple(row) for row in found}) > 20
    assert ((found >= -1) & (found < 7)).all()


def test_shuffled_prompts_have_the_same_edges_between_the_same_words():
    original = parse("a red cat, and a small blue owl")
    other = shuffled(original, np.random.default_rng(1))
    assert "," not in other.text

    def edges(each):
        return sorted(
            (each[e.head].text, e.relation, each[e.dependent].text)
            for e in each.edges_of("ud")
            if "," not in (each[e.head].text, each[e.dependent].text)
        )

    assert edges(other) == edges(original)
    assert other.text.split() == [token.text for token in other.tokens]
    assert all(other.text[t.start : t.end] == t.text for t in other.tokens)


def test_a_spanning_tree_by_hand():
    values = np.full((1, 1, 4, 4), 0.01)
    for one, other in ((0, 1), (1, 2), (3, 1)):
        values[0, 0, one, other] = 0.3
    prompt = attention([1, -1, 1, 1], values)
    prompt.__dict__["sinks"] = np.zeros((1, 1, 4), dtype=bool)
    tree = spanning_tree(prompt, [(0, 0)])
    assert sorted(map(tuple, np.argwhere(np.triu(tree)))) == [(0, 1), (1, 2), (1, 3)]
    assert share_in(tree, np.array([1, -1, 1, 1])) == 1
    assert share_in(tree, np.array([3, -1, 1, -1])) == 0.5


class Maps:
    """Only what the agreement reads of heat maps."""

    def __init__(self, values):
        self.mapped, self._values = tuple(range(len(values))), np.array(values)

    def stack(self, indices):
        return self._values[list(indices)]


def test_agreement_is_beyond_words_and_distance():
    rng = np.random.default_rng(0)
    weights = rng.uniform(size=(8, 8))
    prompt = attention([-1] + [0] * 7, weights[None, None])
    closeness = np.log(np.maximum(weights, weights.T) + 1e-6)
    covariance = 0.1 * (closeness - closeness.mean())
    np.fill_diagonal(covariance, 1)
    samples = rng.multivariate_normal(np.zeros(8), covariance, size=4000).T
    assert agreement(prompt, weights, Maps(samples.reshape(8, 40, 100))) > 0.7
    nothing = [
        agreement(
            attention([-1] + [0] * 7, (w := rng.uniform(size=(8, 8)))[None, None]),
            w + 5 * np.arange(8),  # words that everything attends to
            Maps(rng.normal(size=(8, 6, 6)) + np.arange(8)[:, None, None]),
        )
        for _ in range(80)
    ]
    assert abs(np.mean(nothing)) < 3 * np.std(nothing) / 80**0.5
    few = attention([-1, 0, 0], weights[None, None, :3, :3])
    assert np.isnan(agreement(few, weights[:3, :3], Maps(rng.normal(size=(3, 4, 4)))))


def test_a_randomized_model_is_restored(emoji_pipe):
    before = {name: w.clone() for name, w in emoji_pipe.text_encoder.state_dict().items()}
    with randomized(emoji_pipe, 0, denoiser=True):
        after = emoji_pipe.text_encoder.state_dict()
        changed = [name for name, w in before.items() if not torch.equal(w, after[name])]
        assert any("q_proj.weight" in name for name in changed)
        assert not any("embedding" in name for name in changed)
    for name, weight in emoji_pipe.text_encoder.state_dict().items():
        assert torch.equal(weight, before[name])


PROMPTS = [
    "a red cat is chasing a small blue owl",
    "a picture of a big dog holding a green apple",
    "a small penguin that is holding a large pear",
    "a yellow owl is riding a black horse",
    "a tiny hat above a purple octopus in the snow",
    "a giraffe below a red castle on a beach",
]


def test_the_study_end_to_end(emoji_pipe, tmp_path):
    result = run_study("where-is-syntax", emoji_pipe, prompts=PROMPTS, steps=2, permutations=19)
    scores = result.tables["scores"]
    assert scores["direction"].tolist() == ["chosen", "dependent to head", "head to dependent"]
    assert scores["causal"].all()
    columns = ["attention", "nearest neighbor", "fixed distance", "permuted trees"]
    assert scores[columns].apply(lambda c: c.dropna().between(0, 1).all()).all()
    chosen = scores.iloc[0]
    assert np.isfinite(chosen[["randomized model", "shuffled prompt"]].astype(float)).all()
    table = result.tables["prompts"]
    own = table[(table["direction"] == "chosen") & (table["condition"] == "attention")]
    assert len(own) == 3
    estimate = estimate_mean(own, "value", bounds=(0, 1))
    assert estimate.estimate == pytest.approx(chosen["attention"])
    assert (table["condition"] == "agreement").any()
    assert set(result.figures) == {"estimates", "scores", "heads", "example"}
    heads = result.tables["heads"]
    assert len(heads) == 2 * 3 * 4  # directions, layers, heads
    assert result.write(tmp_path).exists()


@pytest.mark.slow  # draws eight images, and writes a report
def test_a_model_with_joint_attention_by_one_flag(tmp_path):
    """The attention among the text of the denoiser is a relation of its own, from the command line."""
    pipe = make("SD3")
    pipe.save_pretrained(tmp_path / "sd3")
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS[:4]))
    few = ("--prompts", "prompts.txt", "--steps", 1, "--permutations", 19)
    model = ("--model", "sd3", "--encoder", "text_encoder_3")
    done = run_here("study", "where-is-syntax", *model, *few, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Unlabeled attachment in text-text" in done.stdout
    scores = pd.read_csv(tmp_path / "out" / "scores.csv").set_index(["relation", "direction"])
    assert set(scores.index.get_level_values(0)) == {"text_encoder_3", "text-text"}
    assert not scores["causal"].any()
    chosen = scores.loc[("text-text", "chosen")]
    assert chosen["layer"].startswith("transformer_blocks.")
    conditions = ["attention", "permuted trees", "randomized model", "shuffled prompt"]
    assert chosen[conditions].astype(float).between(0, 1).all()
    # The same heads from a trace, with the generators of the study.
    sentences = [parse(text) for text in PROMPTS[:4]]
    found = []
    for each in sentences:
        generator = torch.Generator().manual_seed(generator_seed(each.text, 0))
        with trace(pipe, relations="text-text", keep=KEEP) as recording:
            pipe(each.text, num_inference_steps=1, generator=generator, output_type="latent")
        found += recording.word_attention(sentences=each)
    (source,) = related(found).values()
    expected = by_head(list(source.prompts.values()), source.layers)
    heads = pd.read_csv(tmp_path / "out" / "heads.csv").query("relation == 'text-text'")
    np.testing.assert_allclose(heads["attachment"], expected["attachment"])
    assert heads["layer"].tolist() == expected["layer"].tolist()
