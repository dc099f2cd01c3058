"""Do heat maps lie on the objects they name? ``python -m benchmarks.attribution``.

Scores the maps of the embedded model on fresh scenes, whose exact masks are known (`trace_images`), and on images that
it generates, whose masks come from the annotator. Layers and threshold are chosen on a separate set of scenes. The
scene is the sample: objects are averaged within a scene. 95 % percentile intervals are bootstrapped over scenes; shares
have Wilson intervals with the scenes as trials. Writes ``benchmarks/results/attribution.json``.

Maps by similarity of attention outputs (`trace_output_maps`) are scored on the same scenes, as their positive part, and
after a softmax over all words of the caption: form, layers, and threshold are chosen on the other scenes, too.
Attention and outputs are compared scene by scene. ``--part outputs`` scores them alone, and keeps the other results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.scene_means import average_scenes, mean_with_interval, share_with_interval
from daam_syntax.attention import trace, trace_images, trace_output_maps
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.maps import HeatMaps, OutputMaps, bicubic, mask_iou, parse_threshold
from daam_syntax.pipelines.loading import load_pipeline

RESULTS = Path(__file__).parent / "results" / "attribution.json"
TAUS = (0.3, 0.4, 0.5)
OUTPUT_TAUS = (*TAUS, 0.6, 0.7)
TEMPERATURES = (1.0, 10.0)
LAYERS: dict[str, list[int] | None] = {"all layers": None, "finest grid": [16], "second grid": [8]}
FIRST_SCORED, FIRST_CHOOSING = 600_000, 700_000
MIN_VISIBLE = 0.003  # share of the image; objects with less are almost entirely hidden


@dataclass(frozen=True)
class Target:
    """The map of a noun, the mask of its object, and the masks of the other objects."""

    scene: int
    values: np.ndarray
    mask: np.ndarray
    others: tuple[np.ndarray, ...]


def scene_targets(scenes: Sequence[Scene], maps: Sequence[HeatMaps], color: bool) -> list[Target]:
    """Pair the map of every noun (or, with `color`, of every color word) with its exact mask."""
    targets = []
    for number, (drawn, recorded) in enumerate(zip(scenes, maps, strict=True)):
        visible = [obj for obj in drawn.objects if obj.mask.mean() >= MIN_VISIBLE]
        for obj in visible:
            word = obj.word
            if color:
                words = [
                    w
                    for w, mask in drawn.masks.items()
                    if mask is obj.mask and drawn.sentence[w].text == obj.spec.color
                ]
                if not words:
                    continue
                word = words[0]
            others = tuple(other.mask for other in visible if other is not obj)
            values = recorded[word].resize(obj.mask.shape)
            targets.append(Target(number, values, obj.mask, others))
    return targets


def over_scenes(targets: Sequence[Target], values: Sequence[float]) -> dict[str, float]:
    """Average within scenes, then over scenes; bootstrap the interval over scenes."""
    means = average_scenes([target.scene for target in targets], values)
    return mean_with_interval(means) | {"n_objects": len(values)}


def share_of_scenes(targets: Sequence[Target], hits: Sequence[float]) -> dict[str, float]:
    """Average hits, 0 or 1, within scenes, then over scenes, with a Wilson interval whose trials are the scenes."""
    shares = average_scenes([target.scene for target in targets], hits)
    return share_with_interval(shares) | {"n_objects": len(hits)}


def miou(targets: Sequence[Target], tau: float) -> list[float]:
    """Return the IoU of every thresholded map with its mask."""
    rule = parse_threshold(f"relative:{tau}")
    return [float(mask_iou(rule.apply(t.values), t.mask)) for t in targets]


def ceiling(targets: Sequence[Target], grid: tuple[int, int]) -> list[float]:
    """Return the IoU that each mask reaches after a round trip through the grid, at its best threshold."""
    best = []
    for target in targets:
        height, width = target.mask.shape
        block = (grid[0], height // grid[0], grid[1], width // grid[1])
        values = bicubic(target.mask.reshape(block).mean(axis=(1, 3)), target.mask.shape)
        best.append(
            max(float(mask_iou(values > cut, target.mask)) for cut in np.arange(0.1, 0.9, 0.05))
        )
    return best


def own_is_stronger(targets: Sequence[Target]) -> tuple[list[Target], list[float]]:
    """Return, for scenes with several objects, whether each map is strongest on its own object."""
    chosen = [t for t in targets if t.others]
    hits = [
        float(t.values[t.mask].mean() > max(t.values[other].mean() for other in t.others))
        for t in chosen
    ]
    return chosen, hits


def read(pipe: Any, scenes: Sequence[Scene], layers: list[int] | None) -> list[HeatMaps]:
    """Trace given scenes, with the trees that their captions were written from."""
    return trace_images(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        layers=layers,
        sentences={s.caption: s.sentence for s in scenes},
        batch_size=16,
    )


def drawn_targets(
    pipe: Any, annotator: Annotator, scenes: Sequence[Scene]
) -> tuple[list[Target], int]:
    """Generate an image of each caption, and pair the nouns' maps with the annotator's masks."""
    targets: list[Target] = []
    n_nouns = 0
    for start in range(0, len(scenes), 20):
        batch = scenes[start : start + 20]
        with trace(pipe) as recording:
            images = pipe(
                [s.caption for s in batch],
                generator=[torch.Generator().manual_seed(start + i) for i in range(len(batch))],
                num_inference_steps=20,
                guidance_scale=4.0,
            ).images
        maps = recording.heat_maps(sentences={s.caption: s.sentence for s in batch})
        annotations = annotator(images)
        for i, (drawn, recorded, seen) in enumerate(zip(batch, maps, annotations, strict=True)):
            present = seen.present()
            n_nouns += len(drawn.objects)
            there = [obj for obj in drawn.objects if obj.spec.noun in present]
            for obj in there:
                mask = seen.mask(obj.spec.noun)
                others = tuple(seen.mask(o.spec.noun) for o in there if o is not obj)
                targets.append(
                    Target(start + i, recorded[obj.word].resize(mask.shape), mask, others)
                )
    return targets, n_nouns


def score(targets: Sequence[Target]) -> dict[str, Any]:
    """Compute all scores that need only maps and masks."""
    pairs, hits = own_is_stronger(targets)
    return {
        **{f"miou at relative:{tau}": over_scenes(targets, miou(targets, tau)) for tau in TAUS},
        "whole image": over_scenes(targets, [t.mask.mean() for t in targets]),
        "stronger on its own object": share_of_scenes(pairs, hits),
    }


def read_outputs(pipe: Any, scenes: Sequence[Scene]) -> list[OutputMaps]:
    """Trace the outputs of given scenes, by layer."""
    return trace_output_maps(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        keep="layer",
        sentences={s.caption: s.sentence for s in scenes},
        batch_size=16,
    )


def output_targets(
    scenes: Sequence[Scene], maps: Sequence[OutputMaps], layers: list[int] | None, form: str
) -> list[Target]:
    """Pair a nonnegative form of the output map of every noun with its exact mask."""
    targets = []
    for number, (drawn, recorded) in enumerate(zip(scenes, maps, strict=True)):
        chosen = recorded.select(layers=layers)
        visible = [obj for obj in drawn.objects if obj.mask.mean() >= MIN_VISIBLE]
        # A softmax of the layers' mean, as the positive part is: the axis is averaged over first.
        mean = OutputMaps(
            chosen.data.mean("layer"), chosen.subwords, chosen.sentence, chosen.image_size
        )
        competing = None
        if form != "positive part":
            competing = mean.softmax(mean.mapped, temperature=float(form.split()[-1]))
        for obj in visible:
            values = (
                np.maximum(bicubic(mean.similarity(obj.word), obj.mask.shape, is_signed=True), 0)
                if competing is None
                else competing[obj.word].resize(obj.mask.shape)
            )
            others = tuple(other.mask for other in visible if other is not obj)
            targets.append(Target(number, values, obj.mask, others))
    return targets


def score_outputs(pipe: Any, n_scenes: int, attention: tuple[str, float]) -> dict[str, Any]:
    """Choose form, layers and threshold of output maps on other scenes, and compare them with attention maps.

    Parameters
    ----------
    pipe
        The pipeline.
    n_scenes
        Number of scored scenes; half as many choose.
    attention
        Layers and threshold that were chosen for attention maps.
    """
    forms = [
        "positive part",
        *(f"softmax over words, temperature {each:g}" for each in TEMPERATURES),
    ]
    choosing = [scene(FIRST_CHOOSING + i) for i in range(n_scenes // 2)]
    maps = read_outputs(pipe, choosing)
    candidates: dict[str, dict[str, dict[str, float]]] = {}
    for form in forms:
        for name, layers in LAYERS.items():
            found = output_targets(choosing, maps, layers, form)
            candidates.setdefault(form, {})[name] = {
                f"{tau}": over_scenes(found, miou(found, tau))["mean"] for tau in OUTPUT_TAUS
            }
    options = [(form, name, tau) for form in forms for name in LAYERS for tau in OUTPUT_TAUS]
    form, best, tau = max(options, key=lambda o: candidates[o[0]][o[1]][str(o[2])])
    scenes = [scene(FIRST_SCORED + i) for i in range(n_scenes)]
    maps = read_outputs(pipe, scenes)
    chosen = output_targets(scenes, maps, LAYERS[best], form)
    own = output_targets(scenes, maps, LAYERS[best], "positive part")
    softmax = output_targets(scenes, maps, LAYERS[best], forms[1])
    beside = scene_targets(scenes, read(pipe, scenes, LAYERS[attention[0]]), color=False)
    numbers = [target.scene for target in chosen]
    difference = average_scenes(numbers, miou(chosen, tau)) - average_scenes(
        numbers, miou(beside, attention[1])
    )
    return {
        "form": form,
        "layers": best,
        "tau": tau,
        "miou": over_scenes(chosen, miou(chosen, tau)),
        "attention miou": over_scenes(beside, miou(beside, attention[1])),
        "outputs - attention": mean_with_interval(difference),
        "stronger on its own object, positive part": share_of_scenes(*own_is_stronger(own)),
        "stronger on its own object, softmax": share_of_scenes(*own_is_stronger(softmax)),
        "stronger on its own object, attention": share_of_scenes(*own_is_stronger(beside)),
        "candidates": candidates,
    }


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="emoji")
    options.add_argument("--annotator", type=Path, default=None)
    options.add_argument("--scenes", type=int, default=200)
    options.add_argument("--drawn", type=int, default=200)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--part", choices=("all", "outputs"), default="all")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    pipe = load_pipeline(given.model)
    pipe.set_progress_bar_config(disable=True)
    if given.part == "outputs":
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        known = results["chosen on other scenes"]
        results["output maps"] = score_outputs(pipe, given.scenes, (known["layers"], known["tau"]))
        write(results)
        return

    choosing = [scene(FIRST_CHOOSING + i) for i in range(given.scenes // 2)]
    choices: dict[str, dict[str, float]] = {}
    for name, layers in LAYERS.items():
        found = scene_targets(choosing, read(pipe, choosing, layers), color=False)
        choices[name] = {f"{tau}": over_scenes(found, miou(found, tau))["mean"] for tau in TAUS}
    best_layers, best_tau = max(
        ((name, tau) for name in LAYERS for tau in TAUS), key=lambda c: choices[c[0]][str(c[1])]
    )

    scenes = [scene(FIRST_SCORED + i) for i in range(given.scenes)]
    maps = read(pipe, scenes, None)
    nouns = scene_targets(scenes, maps, color=False)
    chosen = (
        nouns
        if LAYERS[best_layers] is None
        else scene_targets(scenes, read(pipe, scenes, LAYERS[best_layers]), color=False)
    )
    drawn, n_nouns = drawn_targets(pipe, Annotator.load(given.annotator), scenes[: given.drawn])
    results = {
        "exact masks, nouns": {
            **score(nouns),
            "mask on the grid": over_scenes(nouns, ceiling(nouns, maps[0].grid)),
        },
        "exact masks, color words": score(scene_targets(scenes, maps, color=True)),
        "chosen on other scenes": {
            "layers": best_layers,
            "tau": best_tau,
            "miou": over_scenes(chosen, miou(chosen, best_tau)),
            "candidates": choices,
        },
        "drawn images, annotator's masks": {
            **score(drawn),
            "nouns in the prompts": n_nouns,
            "nouns that the annotator finds": len(drawn),
        },
        "output maps": score_outputs(pipe, given.scenes, (best_layers, best_tau)),
    }
    write(results)


def write(results: dict[str, Any]) -> None:
    """Print and write the results."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
