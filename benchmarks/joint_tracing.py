"""What does tracing joint attention cost on a CPU? ``python -m benchmarks.joint_tracing [--peers FOLDER]``.

Compares untraced, traced, and, for the model, attention-map-diffusers (see `peers`). Weights are random, since cost
does not depend on them. The parts:

- ``blocks``: a double-stream and a single-stream block of Flux (24 attention heads of 128) at 1024 x 1024, which is
  4,096 pixels and 512 text tokens (``--pixels 1024``: at 512 x 512);
- ``model``: a small Stable Diffusion 3 (``--blocks`` blocks of 12 attention heads of 64) generates one 512 x 512 image
  with guidance, heat maps included; also without the log-sum-exp of the attention kernel, to show what it saves;
- ``memory``: the extra peak memory of both.

Writes the requested parts to ``benchmarks/results/joint_tracing.json``: ratios of processor time (median over the
rounds, 95 % bootstrap interval), and the extra peak of resident memory, each measured in its own process.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.blocks import Block, flux_block, inside, traced
from benchmarks.peers import MAPS, Ways, add_folder, maps_of_pipeline
from benchmarks.side_by_side import extra_peak, machine, measure_parts, measured_extra_peak, ratios
from benchmarks.small_models import stable_diffusion_3_pipeline

RESULTS = Path(__file__).parent / "results" / "joint_tracing.json"
PROMPT = "the red cat and the blue owl"
KINDS = ("double-stream", "single-stream")
WITHOUT = "traced without the kernel's log-sum-exp"


def drawing_ways(given: argparse.Namespace) -> Ways:
    """Return the alternatives for a pipeline call, by name."""
    from daam_syntax import trace

    pipe = stable_diffusion_3_pipeline(given.blocks)

    def draw(tracer: Any) -> Any:
        with tracer as recording, torch.no_grad():
            pipe(
                PROMPT,
                height=512,
                width=512,
                num_inference_steps=given.steps,
                output_type="latent",
                max_sequence_length=256,
            )
        return recording

    def draw_dearly() -> None:
        with mock.patch("daam_syntax.attention.hooks.logsumexp._may_be_joint", _never):
            draw(trace(pipe)).heat_maps()

    ways: Ways = {
        "untraced": lambda: draw(nullcontext()),
        "traced": lambda: draw(trace(pipe)).heat_maps(),
        WITHOUT: draw_dearly,
    }
    if given.peers:
        ways[MAPS] = lambda: draw(maps_of_pipeline(pipe))
    return ways


def _never(*given: Any) -> bool:
    """Replace a condition; a mock would keep the tensors of its calls alive."""
    return False


def block_ways(block: Block) -> Ways:
    """Return the alternatives for running a block, by name."""
    return {"untraced": block.run, "traced": inside(block, partial(traced, block))}


def shape_of_block(given: argparse.Namespace, kind: str) -> str:
    """Describe a block."""
    return f"Flux, {given.pixels} pixels and 512 text tokens, {kind} block"


def shape_of_model(given: argparse.Namespace) -> str:
    """Describe the model and the pipeline call."""
    return (
        f"Stable Diffusion 3 with {given.blocks} blocks of width 768, 512 x 512, 1 image with guidance, "
        "float32"
    )


def measure_blocks(given: argparse.Namespace) -> dict[str, Any]:
    """Time the blocks under all alternatives in turn."""
    results: dict[str, Any] = machine(given.threads)
    for kind in KINDS:
        block = flux_block(pixels=given.pixels, single=kind == "single-stream")
        ways = block_ways(block)
        results[shape_of_block(given, kind)] = ratios(ways, given.rounds)
    return results


def measure_model(given: argparse.Namespace) -> dict[str, Any]:
    """Time the pipeline under all alternatives in turn."""
    return {
        "shape": shape_of_model(given),
        "steps": given.steps,
        **machine(given.threads),
        **ratios(drawing_ways(given), given.rounds),
    }


def measure_memory(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the extra peak memory of all alternatives."""
    arguments = ["--threads", str(given.threads), "--pixels", str(given.pixels)]
    arguments += ["--blocks", str(given.blocks), "--steps", str(given.steps)]
    arguments += ["--peers", str(given.peers)] if given.peers else []

    def peaks(kind: str, ways: list[str]) -> dict[str, float]:
        return {
            way: extra_peak("benchmarks.joint_tracing", [*arguments, "--peak-of", kind, way])
            for way in ways
        }

    results = {shape_of_block(given, kind): peaks(kind, ["traced"]) for kind in KINDS}
    ways = ["traced", WITHOUT, *([MAPS] if given.peers else [])]
    return {"extra peak memory, MB": results | {shape_of_model(given): peaks("model", ways)}}


PARTS = {"blocks": measure_blocks, "model": measure_model, "memory": measure_memory}


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--pixels", type=int, default=4096)
    options.add_argument("--blocks", type=int, default=4)
    options.add_argument("--steps", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--peers", type=Path, help="folder with the other packages")
    options.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    add_folder(given.peers)
    if given.peak_of:
        kind, way = given.peak_of
        if kind == "model":
            ways = drawing_ways(given)
        else:
            ways = block_ways(flux_block(pixels=given.pixels, single=kind == "single-stream"))
        print(measured_extra_peak(ways[way], ways["untraced"]))
        return
    measure_parts(PARTS, given, RESULTS)


if __name__ == "__main__":
    main()
