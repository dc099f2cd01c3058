"""What does tracing cross-attention cost? ``python -m benchmarks.tracing [--peers FOLDER]``.

Compares untraced, traced, and, if given, the packages of `peers`. Weights are random, since cost does not depend on
them. The parts:

- ``unet``: a pipeline with the UNet of Stable Diffusion 1.5 generates one 512 x 512 image with guidance, heat maps
  included;
- ``blocks``: the two kinds of transformer block of SDXL's UNet at 1024 x 1024, and the cross-attention of each alone;
- ``memory``: the extra peak memory of ``unet``.

Writes the requested parts to ``benchmarks/results/tracing.json``: ratios of processor time (median over the rounds,
95 % bootstrap interval), and the extra peak of resident memory, each measured in its own process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.blocks import Block, attention_of, inside, sdxl_block, traced
from benchmarks.peers import DAAM, MAPS, Ways, add_folder, daam_of_module, maps_of_pipeline
from benchmarks.side_by_side import extra_peak, machine, measure_parts, measured_extra_peak, ratios
from benchmarks.small_models import stable_diffusion_pipeline

RESULTS = Path(__file__).parent / "results" / "tracing.json"
PROMPT = "a red cat chasing a small blue owl in the snow"
SHAPE = "Stable Diffusion 1.5, 512 x 512, 1 image with guidance, float32"


def draw(pipe: Any, steps: int, tracer: AbstractContextManager[Any]) -> Any:
    """Call the pipeline once, and return the recording."""
    with tracer as recording:
        pipe(PROMPT, num_inference_steps=steps, generator=torch.Generator().manual_seed(0))
        if hasattr(recording, "compute_global_heat_map"):  # daam computes maps inside its context
            recording.compute_global_heat_map()
    return recording


def drawing_ways(pipe: Any, given: argparse.Namespace) -> Ways:
    """Return the alternatives for a pipeline call, by name."""
    from daam_syntax import trace

    ways: Ways = {
        "untraced": lambda: draw(pipe, given.steps, nullcontext()),
        "traced": lambda: draw(pipe, given.steps, trace(pipe)).heat_maps(),
    }
    if given.peers:
        import daam

        ways[DAAM] = lambda: draw(pipe, given.steps, daam.trace(pipe))
        ways[MAPS] = lambda: draw(pipe, given.steps, maps_of_pipeline(pipe))
    return ways


def block_ways(block: Block, given: argparse.Namespace) -> Ways:
    """Return the alternatives for running a block, by name."""
    ways: Ways = {"untraced": block.run, "traced": inside(block, partial(traced, block))}
    attention = block.module.get_submodule(block.attention)
    if given.peers:
        pixels = block.split.pixels.stop
        ways[DAAM] = inside(block, partial(daam_of_module, attention, pixels))
    return ways


@contextmanager
def own_time() -> Iterator[list[float]]:
    """Yield a list that collects the processor seconds spent on each recorded attention call."""
    from daam_syntax.attention.recording.recorder import Recorder

    taken: list[float] = []
    record = Recorder.attention_ran

    def timed(*args: Any) -> None:
        started = time.process_time()
        record(*args)
        taken.append(time.process_time() - started)

    with mock.patch.object(Recorder, "attention_ran", timed):
        yield taken


def measure_unet(given: argparse.Namespace) -> dict[str, Any]:
    """Time all alternatives in turn, and the work of the trace itself, which varies little."""
    pipe = stable_diffusion_pipeline()
    ways = drawing_ways(pipe, given)
    results = {"shape": SHAPE, "steps": given.steps, **machine(given.threads)}
    results |= ratios(ways, given.rounds)
    with own_time() as taken:
        started = time.process_time()
        ways["traced"]()
        whole = time.process_time() - started
    return results | {"share of the traced time that is spent on attention": sum(taken) / whole}


def measure_blocks(given: argparse.Namespace) -> dict[str, Any]:
    """Time the blocks, and their cross-attention alone, under all alternatives in turn."""
    results: dict[str, Any] = machine(given.threads)
    for pixels, heads in ((4096, 10), (1024, 20)):
        name = f"SDXL, {pixels} pixels, {heads} heads"
        block = sdxl_block(pixels=pixels, heads=heads)
        alone = attention_of(block)
        results[f"{name}: block"] = ratios(block_ways(block, given), given.rounds)
        results[f"{name}: its cross-attention alone"] = ratios(
            block_ways(alone, given), 3 * given.rounds
        )
    return results


def measure_memory(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the extra peak memory of each alternative."""
    ways = ["traced", *([DAAM, MAPS] if given.peers else [])]
    arguments = ["--steps", str(given.steps), "--threads", str(given.threads)]
    arguments += ["--peers", str(given.peers)] if given.peers else []
    return {
        "steps": given.steps,
        "extra peak memory, MB": {
            SHAPE: {
                way: extra_peak("benchmarks.tracing", [*arguments, "--peak-of", way])
                for way in ways
            }
        },
    }


PARTS = {"unet": measure_unet, "blocks": measure_blocks, "memory": measure_memory}


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--steps", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--peers", type=Path, help="folder with the other packages")
    options.add_argument("--peak-of", help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    add_folder(given.peers)
    if given.peak_of:
        ways = drawing_ways(stable_diffusion_pipeline(), given)
        print(measured_extra_peak(ways[given.peak_of], ways["untraced"]))
        return
    measure_parts(PARTS, given, RESULTS)


if __name__ == "__main__":
    main()
