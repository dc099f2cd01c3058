"""Do weighted or refined maps improve on plain ones? ``python -m benchmarks.refined``.

Traces the embedded model on scenes with exact masks and compares, on the same scenes: plain maps; maps of the finest
grid only; weighted maps (weights of layers and attention heads learned on a third set of scenes); and refined maps (the
finest grid propagated along self-attention, minus the minimum). They are compared at the same threshold rules, and each
at the threshold and timesteps that were best on *other* scenes. The scene is the sample: objects are averaged within a
scene, and 95 % percentile intervals are bootstrapped over scenes; differences are paired by scene. Writes
``benchmarks/results/refined.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.attribution import FIRST_CHOOSING, FIRST_SCORED, MIN_VISIBLE
from benchmarks.map_weights import FIRST_LEARNING, learn
from benchmarks.map_weights import read as read_kept
from benchmarks.scene_means import mean_with_interval
from daam_syntax.attention import trace_images
from daam_syntax.attention.given_images import DEFAULT_TIMESTEPS
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.maps import HeatMaps, MapWeights, mask_iou, parse_threshold
from daam_syntax.pipelines.loading import load_pipeline

RESULTS = Path(__file__).parent / "results" / "refined.json"
TAUS = (0.3, 0.4, 0.5, 0.6, 0.7)
FINEST = 16
KEEP = ("step", "layer", "head")
LESS_NOISY = tuple(t for t in DEFAULT_TIMESTEPS if t <= 400)
PLAIN, GRID, WEIGHTED, REFINED = "plain", "finest grid", "weighted", "refined"
KINDS = (PLAIN, GRID, WEIGHTED, REFINED)
PAIRS = ((GRID, PLAIN), (WEIGHTED, PLAIN), (REFINED, PLAIN), (WEIGHTED, GRID), (REFINED, GRID))
TIMESTEPS = {"all timesteps": DEFAULT_TIMESTEPS, "timesteps up to 400": LESS_NOISY}

Scores = dict[tuple[str, str, float], np.ndarray]
"""mIoU of each scene, by kind of map, timesteps and threshold."""


def read_refined(pipe: Any, scenes: Sequence[Scene], timesteps: Sequence[int]) -> list[HeatMaps]:
    """Trace given scenes with refined maps."""
    return trace_images(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        sentences={s.caption: s.sentence for s in scenes},
        batch_size=16,
        timesteps=timesteps,
        layers=FINEST,
        refined=True,
    )


def among(maps: Sequence[HeatMaps], timesteps: Sequence[int]) -> list[HeatMaps]:
    """Restrict maps to some of the timesteps."""
    return [recorded.select(steps=lambda _, t: t in timesteps) for recorded in maps]


def learned(pipe: Any, scenes: Sequence[Scene]) -> dict[str, MapWeights]:
    """Learn weights of layers and attention heads for every choice of timesteps."""
    kept = read_kept(pipe, scenes, KEEP)
    return {name: learn(among(kept, timesteps), scenes) for name, timesteps in TIMESTEPS.items()}


def score(pipe: Any, scenes: Sequence[Scene], weights: dict[str, MapWeights]) -> Scores:
    """Score every kind of map, at every choice of timesteps and threshold, on the same scenes."""
    kept = read_kept(pipe, scenes, KEEP)
    scores: Scores = {}
    for name, timesteps in TIMESTEPS.items():
        chosen = among(kept, timesteps)
        kinds = {
            PLAIN: chosen,
            GRID: [maps.select(layers=FINEST) for maps in chosen],
            WEIGHTED: [maps.weighted(weights[name]) for maps in chosen],
            REFINED: read_refined(pipe, scenes, timesteps),
        }
        for kind, maps in kinds.items():
            for tau, by_scene in zip(TAUS, mious(scenes, maps), strict=True):
                scores[kind, name, tau] = by_scene
    return scores


def mious(scenes: Sequence[Scene], maps: Sequence[HeatMaps]) -> np.ndarray:
    """Return the mean IoU of the nouns' thresholded maps with their masks: (threshold, scene)."""
    rules = [parse_threshold(f"relative:{tau}") for tau in TAUS]
    by_scene = []
    for drawn, recorded in zip(scenes, maps, strict=True):
        visible = [obj for obj in drawn.objects if obj.mask.mean() >= MIN_VISIBLE]
        resized = [recorded[obj.word].resize(obj.mask.shape) for obj in visible]
        found = [
            [float(mask_iou(rule.apply(values), obj.mask)) for rule in rules]
            for values, obj in zip(resized, visible, strict=True)
        ]
        if found:
            by_scene.append(np.mean(found, axis=0))
    return np.transpose(by_scene)


def differences(scores: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Compare kinds of maps, paired by scene."""
    return {f"{a} - {b}": mean_with_interval(scores[a] - scores[b]) for a, b in PAIRS}


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="emoji")
    options.add_argument("--scenes", type=int, default=200)
    options.add_argument("--choosing", type=int, default=100)
    options.add_argument("--learning", type=int, default=200)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--out", type=Path, default=RESULTS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    pipe = load_pipeline(given.model)
    pipe.set_progress_bar_config(disable=True)

    weights = learned(pipe, [scene(FIRST_LEARNING + i) for i in range(given.learning)])
    tried = score(pipe, [scene(FIRST_CHOOSING + i) for i in range(given.choosing)], weights)
    scored = score(pipe, [scene(FIRST_SCORED + i) for i in range(given.scenes)], weights)
    best = {
        kind: max((key for key in tried if key[0] == kind), key=lambda key: tried[key].mean())
        for kind in KINDS
    }
    at_same_rule = {}
    for name in TIMESTEPS:
        for tau in TAUS:
            at = {kind: scored[kind, name, tau] for kind in KINDS}
            at_same_rule[f"{name}, relative:{tau}"] = {
                **{kind: mean_with_interval(values) for kind, values in at.items()},
                **differences(at),
            }
    at_best = {kind: scored[best[kind]] for kind in KINDS}
    results = {
        "at the same rule": at_same_rule,
        "each as chosen on other scenes": {
            **{
                kind: {
                    "timesteps": best[kind][1],
                    "tau": best[kind][2],
                    "miou": mean_with_interval(at_best[kind]),
                }
                for kind in KINDS
            },
            **differences(at_best),
        },
        "candidates on other scenes": {
            f"{kind}, {name}, relative:{tau}": float(values.mean())
            for (kind, name, tau), values in tried.items()
        },
    }
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
