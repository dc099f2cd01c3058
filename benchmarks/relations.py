"""What do all relations of joint attention cost on a CPU? ``python -m benchmarks.relations [--peers FOLDER]``.

A small Stable Diffusion 3 and a small Flux (random weights, whose values do not change the cost) generate one
512 x 512 image: 1,024 pixels beside 268 or 512 text tokens. Compared are untraced calls, traces of text-text attention
and of all relations, and the same recorded by attention-map-diffusers (see `peers`), results included. A trace always
records image-text attention, too. The parts:

- ``time``: ratios of processor time (median over the rounds, 95 % bootstrap interval);
- ``memory``: the extra peak of resident memory for one step and for two, each in its own process;
- ``exactness``: the largest relative difference from a softmax in 64 bits of the same queries and keys, and whether
  the latents are the same to the bit.

Writes the requested parts to ``benchmarks/results/relations.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.nn import functional

from benchmarks.peers import MAPS, Ways, add_folder, maps_of_relations
from benchmarks.side_by_side import extra_peak, machine, measure_parts, measured_extra_peak, ratios
from benchmarks.small_models import flux_pipeline, stable_diffusion_3_pipeline

RESULTS = Path(__file__).parent / "results" / "relations.json"
PROMPT = "the red cat and the blue owl"
RELATIONS = ("image-text", "text-image", "text-text", "image-image")
ALL = "all relations"
SIDE = 32  # pixels on each side of the denoiser's grid
MODELS: dict[str, Callable[[], Any]] = {
    "Stable Diffusion 3": partial(stable_diffusion_3_pipeline, 4),
    "Flux": flux_pipeline,
}
STEPS = (1, 2)


def draw(pipe: Any, tracer: Any, steps: int = 1) -> tuple[Any, Any]:
    """Generate an image inside a tracer, and return the tracer and the latents."""
    options = {"max_sequence_length": 256} if "3" in type(pipe).__name__ else {}
    with tracer as recording, torch.no_grad():
        latents = pipe(
            PROMPT,
            height=16 * SIDE,
            width=16 * SIDE,
            num_inference_steps=steps,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
            **options,
        ).images
    return recording, latents


def results_of(recording: Any, relations: Sequence[str]) -> dict[str, Any]:
    """Return what a trace recorded, by relation."""
    read = {
        "image-text": recording.heat_maps,
        "text-image": partial(recording.heat_maps, relation="text-image"),
        "text-text": recording.word_attention,
        "image-image": recording.image_attention,
    }
    return {relation: read[relation]()[0] for relation in relations}


def ways_of(name: str, steps: int, *, peers: bool) -> Ways:
    """Return the alternatives for a pipeline call, by name."""
    from daam_syntax import trace

    pipe = MODELS[name]()

    def traced(relations: Sequence[str]) -> None:
        results_of(draw(pipe, trace(pipe, relations=relations), steps)[0], relations)

    def by_peer(relations: Sequence[str]) -> None:
        recording, _ = draw(pipe, maps_of_relations(pipe, relations), steps)
        recording.compute()

    ways: Ways = {"untraced": lambda: draw(pipe, nullcontext(), steps)}
    for title, relations in (("text-text", ("text-text",)), (ALL, RELATIONS)):
        ways[f"traced, {title}"] = partial(traced, relations)
        if peers:
            ways[f"{MAPS}, {title}"] = partial(by_peer, relations)
    return ways


def measure_time(given: argparse.Namespace) -> dict[str, Any]:
    """Time the pipelines under all alternatives in turn."""
    found: dict[str, Any] = machine(given.threads)
    for name in MODELS:
        found[name] = ratios(ways_of(name, 1, peers=bool(given.peers)), given.rounds)
    return found


def measure_memory(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the extra peak memory of all relations together."""
    arguments = ["--threads", str(given.threads)]
    arguments += ["--peers", str(given.peers)] if given.peers else []
    ways = [f"traced, {ALL}", *([f"{MAPS}, {ALL}"] if given.peers else [])]
    return {
        "extra peak memory, MB": {
            name: {
                way: {
                    str(steps): extra_peak(
                        "benchmarks.relations", [*arguments, "--peak-of", name, way, str(steps)]
                    )
                    for steps in STEPS
                }
                for way in ways
            }
            for name in MODELS
        }
    }


def reference(pipe: Any) -> tuple[np.ndarray, Any]:
    """Return the softmax in 64 bits of the prompt's row, the mean over heads, and the latents.

    *Shape:* ``(layer, query, key)``, text and pixels in the order of the model.
    """
    layers: list[torch.Tensor] = []
    original = functional.scaled_dot_product_attention

    def seen(query: torch.Tensor, key: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        if query.shape[-2] > SIDE**2:
            logits = query[-1].double() @ key[-1].double().transpose(-1, -2)
            layers.append((logits / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=0))
        return original(query, key, *arguments, **options)

    with mock.patch.object(functional, "scaled_dot_product_attention", seen):
        _, latents = draw(pipe, nullcontext())
    return torch.stack(layers).numpy(), latents


def errors_of(whole: np.ndarray, found: dict[str, Any], starts: dict[str, int]) -> dict[str, float]:
    """Return the largest relative difference of each relation from attention between all positions.

    Parameters
    ----------
    whole
        Attention from text, then pixels, to text, then pixels. *Shape:* ``(query, key)``
    found
        What a trace recorded, by relation.
    starts
        Position of the first token of each text encoder.
    """
    n_text = len(whole) - SIDE**2
    text, pixels = slice(0, n_text), slice(n_text, None)
    places = [starts[each.encoder] + each.position for each in found["image-text"].subwords]
    attention = found["text-text"]
    groups = [list(group.positions) for group in attention.groups if group.kind != "image"]
    rows = np.stack([whole[text][group].mean(axis=0) for group in groups])
    between = np.stack(
        [rows[:, group].sum(axis=1) for group in groups] + [rows[:, pixels].sum(axis=1)], axis=1
    )
    cells = found["image-image"].mean
    side = SIDE // len(cells)
    own = whole[pixels, pixels].reshape((len(cells), side) * 4)
    joined = own.mean(axis=(1, 3)).sum(axis=(3, 5))
    grid = (SIDE, SIDE)
    expected = {
        "image-text": whole[pixels][:, places].T.reshape(-1, *grid),
        "text-image": whole[places][:, pixels].reshape(-1, *grid),
        "text-text": between,
        "image-image": joined,
    }
    recorded = {
        "image-text": found["image-text"].data.values,
        "text-image": found["text-image"].data.values,
        "text-text": attention.data.values[: len(groups)],
        "image-image": cells,
    }
    return {name: _largest(recorded[name], expected[name]) for name in RELATIONS}


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(found - expected) / expected).max())


def errors_of_peer(layers: np.ndarray, maps: Any) -> dict[str, float]:
    """Return the same for the maps of attention-map-diffusers, which keep every position.

    They are compared in the layers that it records: in Flux the first ones, the double-stream blocks.
    """
    n_text = layers.shape[-1] - SIDE**2
    parts = {"text": slice(0, n_text), "image": slice(n_text, None)}
    found = {}
    for relation, records in maps.by_relation().items():
        query, key = relation.split("->")
        mean = torch.stack([record.data[-1, 0].double() for record in records]).mean(dim=0)
        expected = layers[: len(records)].mean(axis=0)[parts[query], parts[key]]
        found[f"{query}-{key}"] = _largest(mean.numpy(), expected)
    return found | {"blocks": len(records)}


def measure_exactness(given: argparse.Namespace) -> dict[str, Any]:
    """Compare all relations with a softmax in 64 bits."""
    from daam_syntax import trace

    results: dict[str, Any] = {}
    for name, make in MODELS.items():
        pipe = make()
        layers, latents = reference(pipe)
        first = SIDE**2 if name == "Stable Diffusion 3" else 0  # pixels precede the text
        order = np.roll(np.arange(layers.shape[-1]), -first)
        layers = layers[:, order][:, :, order]
        recording, ours = draw(pipe, trace(pipe, relations=RELATIONS))
        starts = {"": 0, "clip": 0, "t5": pipe.tokenizer.model_max_length}
        results[name] = {
            "traced": errors_of(layers.mean(axis=0), results_of(recording, RELATIONS), starts)
            | {"blocks": len(layers), "same latents": bool(torch.equal(ours, latents))}
        }
        if given.peers:
            capture, theirs = draw(pipe, maps_of_relations(pipe, RELATIONS))
            results[name][MAPS] = errors_of_peer(layers, capture.compute()) | {
                "same latents": bool(torch.equal(theirs, latents))
            }
    return results


PARTS = {"time": measure_time, "memory": measure_memory, "exactness": measure_exactness}


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--peers", type=Path, help="folder with the other packages")
    options.add_argument("--peak-of", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    add_folder(given.peers)
    if given.peak_of:
        name, way, steps = given.peak_of
        ways = ways_of(name, int(steps), peers=bool(given.peers))
        print(measured_extra_peak(ways[way], ways["untraced"]))
        return
    measure_parts(PARTS, given, RESULTS)


if __name__ == "__main__":
    main()
