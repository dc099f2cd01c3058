"""Measure the methods in the embedded world: exact masks, counterfactuals, color words, and generated images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import torch

from benchmarks.attribution.comparisons import ratio_of_sums
from benchmarks.attribution.generated import drawn_cases
from benchmarks.attribution.mapping.methods import CHOSEN, FINEST, LEARNED, METHODS, PLAIN
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.mapping.relevance import relevance
from benchmarks.attribution.running import Runner, score_masks, summarized
from benchmarks.attribution.scenes import (
    BELOW,
    COUNTERFACTUAL,
    FALLS,
    FIRST,
    KEPT,
    WITH,
    WITHOUT,
    colors_of,
    counterfactual_scores,
    counterfactuals_of,
    exact_scenes,
    nouns_of,
)
from benchmarks.attribution.scoring import AGAINST_MASKS, OWN, POINTING
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.model import GUIDANCE, learned_weights
from daam_syntax.emoji.scenes import Scene
from daam_syntax.util.progress import show_progress

N_VOTING: Final = 32
"""Captions whose images let attention heads vote."""

VOTING_STEPS: Final = 10

SINGLE: Final = (PLAIN, FINEST, CHOSEN, LEARNED)
"""Methods that need no more than one recording, so that they are scored on generated images, too."""


def measure(pipe: Any, n_scenes: int, n_drawn: int, *, progress: bool = True) -> dict[str, Any]:
    """Measure all methods on fresh scenes.

    Parameters
    ----------
    pipe
        The embedded model.
    n_scenes
        Number of scenes; each is read as it is, without a thing, and with another thing.
    n_drawn
        Number of captions from which images are generated.
    progress
        Whether to show progress.
    """
    started, processor = time.monotonic(), time.process_time()
    scenes = exact_scenes(n_scenes)
    total = N_VOTING + 4 * n_scenes + n_drawn
    with show_progress(progress, total, label="Voting", unit="images") as bar:
        weights = relevance(pipe, N_VOTING, steps=VOTING_STEPS, guidance=GUIDANCE, bar=bar)
        reader = Reader(pipe, weights, learned_weights())
        nouns = [nouns_of(drawn) for drawn in scenes]
        found = [counterfactuals_of(drawn, seed) for seed, drawn in enumerate(scenes)]
        runner = Runner(METHODS, bar)
        bar.describe("Scenes")
        own = runner.maps(reader, [each.case for each in nouns])
        bar.describe("Scenes without a thing")
        without = runner.maps(reader, [each.without for each in found])
        bar.describe("Scenes with another thing")
        other = runner.maps(reader, [each.other for each in found])
        bar.describe("Color words")
        colors = _colors(reader, scenes, bar)
        bar.describe("Generating images")
        drawn, counts = drawn_cases(reader, Annotator.load(), scenes[:n_drawn], SINGLE, bar)
    scores, thresholds = score_masks(nouns, own)
    ratios: dict[str, dict[str, Any]] = {}
    for name, maps in own.items():
        truth = counterfactual_scores(found, maps, without[name], other[name])
        scores[name] |= truth
        ratios[name] = {
            label: ratio_of_sums(truth[after], truth[before])
            for label, (after, before) in KEPT.items()
        }
    names = (*AGAINST_MASKS, *COUNTERFACTUAL, WITH, WITHOUT)
    result = summarized(
        scores,
        METHODS,
        names,
        lambda name: {
            "kept": ratios[name],
            "thresholds": thresholds[name],
            "processor seconds": round(runner.seconds[name], 1),
        },
        (OWN, POINTING, FALLS, BELOW),
    )
    for name in (WITH, WITHOUT):  # they describe, and nobody wins by them
        result["winners"].pop(name, None)
    return {
        "images": "scenes of the embedded world with exact masks",
        "model": "emoji",
        "scenes": n_scenes,
        "words": sum(len(each.things) for each in nouns),
        "scenes from": FIRST,
        "timesteps": list(reader.timesteps),
        "captions that voted": N_VOTING,
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - started),
        "processor seconds": round(time.process_time() - processor),
        **result,
        "color words": colors,
        "generated images": {**drawn, **counts},
    }


def _colors(reader: Reader, scenes: Sequence[Scene], bar: Any) -> dict[str, Any]:
    """Score the color words of scenes, whose maps should lie on the object that has the color."""
    scored = [colors_of(drawn) for drawn in scenes]
    wanted = [each for each in scored if each.things]
    runner = Runner([each for each in METHODS if each.name in SINGLE], bar)
    maps = runner.maps(reader, [each.case for each in wanted])
    bar.advance(len(scored) - len(wanted))
    scores, _ = score_masks(wanted, maps)
    return summarized(scores, METHODS, AGAINST_MASKS) | {
        "words": sum(len(each.things) for each in wanted),
        "scenes": len(wanted),
    }
