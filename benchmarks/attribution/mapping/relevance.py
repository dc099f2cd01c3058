"""Which attention heads respond to words for things: weights that no mask taught.

After Park et al. 2025 (Head Relevance Vectors, ICLR): while images of random captions are generated, each attention
head votes, at each step, for the concept whose words get most of its attention, averaged over pixels and over the
words of the concept. Concepts are things, colors, sizes, places, and relations. The weight of a head is the number of
its votes for things. The captions are those of scenes that no benchmark scores.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
import xarray as xr

from benchmarks.attribution.cases import BATCH, batches
from daam_syntax.attention import trace
from daam_syntax.emoji.grammar import write_caption
from daam_syntax.emoji.scenes import sample_spec
from daam_syntax.emoji.vocabulary import BACKGROUNDS, COLORS, SIZES
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, MapWeights
from daam_syntax.util.progress import Progress

FIRST: Final = 560_000
"""Seed of the first caption."""

THINGS: Final = "things"


def relevance(
    pipe: Any, n_images: int, *, steps: int, guidance: float, bar: Progress, batch: int = BATCH
) -> MapWeights:
    """Let attention heads vote while images of random captions are generated.

    Parameters
    ----------
    pipe
        A pipeline.
    n_images
        Number of captions, one image each.
    steps, guidance
        Denoising steps, and the guidance scale.
    bar
        Counts the images.
    batch
        Images that are generated at once.

    Returns
    -------
    MapWeights
        Weights of layers and attention heads.
    """
    sentences = captions(n_images)
    votes: xr.DataArray | float = 0.0
    for part in batches(n_images, batch):
        chosen = sentences[part]
        with trace(pipe, keep=("step", "layer", "head")) as recording:
            pipe(
                [each.text for each in chosen],
                generator=[
                    torch.Generator("cpu").manual_seed(FIRST + i)
                    for i in range(part.start, part.stop)
                ],
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="latent",
            )
        for maps in recording.heat_maps(sentences={each.text: each for each in chosen}):
            votes = votes + votes_for_things(maps)
        bar.advance(len(chosen))
    assert isinstance(votes, xr.DataArray), "there is at least one caption"
    return MapWeights(votes, {"votes for": THINGS, "images": n_images, "captions from": FIRST})


def most_relevant(weights: MapWeights) -> MapWeights:
    """Return equal weights of the quarter of attention heads with most votes, and of those that have as many."""
    values = weights.values
    ordered = np.sort(values.values, axis=None)[::-1]
    least = ordered[math.ceil(len(ordered) / 4) - 1]
    return MapWeights((values >= least).astype(float), {**weights.notes, "heads": "a quarter"})


def captions(n: int) -> list[Sentence]:
    """Return the captions of random scenes that have words of at least three concepts, without repeated ones."""
    found: dict[str, Sentence] = {}
    seed = FIRST
    while len(found) < n:
        sentence, _ = write_caption(sample_spec(np.random.default_rng(seed)))
        if len(concepts(sentence)) >= 3:
            found.setdefault(sentence.text, sentence)
        seed += 1
    return list(found.values())


def concepts(sentence: Sentence) -> dict[str, list[int]]:
    """Return the words of each concept in a caption of the grammar."""
    found: dict[str, list[int]] = {}
    for token in sentence.tokens:
        concept = _concept(token.text, token.pos)
        if concept is not None:
            found.setdefault(concept, []).append(token.index)
    return found


def _concept(text: str, pos: str) -> str | None:
    for name, words in (("colors", COLORS), ("sizes", SIZES), ("places", BACKGROUNDS)):
        if text in words:
            return name
    if text in ("picture", "scene", "left", "right"):
        return None
    return {"NOUN": THINGS, "VERB": "relations", "ADP": "relations"}.get(pos)


def votes_for_things(maps: HeatMaps) -> xr.DataArray:
    """Return how often each attention head votes for things in the steps of one image, dims ``(layer, head)``."""
    by_concept = [
        (name, np.mean([_mean_attention(maps, word) for word in words], axis=0))
        for name, words in concepts(maps.sentence).items()
    ]
    names = [name for name, _ in by_concept]
    winners = np.argmax([values for _, values in by_concept], axis=0)
    template = maps.word_array(next(iter(concepts(maps.sentence).values()))[0]).mean(("y", "x"))
    hits = template.copy(data=(winners == names.index(THINGS)).astype(float))
    return hits.sum("step")


def _mean_attention(maps: HeatMaps, word: int) -> np.ndarray:
    return maps.word_array(word).mean(("y", "x")).transpose("step", "layer", "head").values
