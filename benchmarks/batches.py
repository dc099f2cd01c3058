"""How much faster is generating in batches? ``python -m benchmarks.batches [--threads 1 2]``.

The embedded model generates one image for each of 32 prompts, with guidance, traced (heat maps included) and untraced,
in batches of 1, 8, 16, and 32, all in turn in one run. Writes the time per image and the speedup over batches of one
(median over the rounds, 95 % bootstrap interval) to ``benchmarks/results/batches.json``. Time is processor time with
one thread and elapsed time with more.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers import Ways, warmed_up
from benchmarks.side_by_side import machine, ratio, seconds
from daam_syntax import load_pipeline, trace
from daam_syntax.emoji.scenes import scene

RESULTS = Path(__file__).parent / "results" / "batches.json"
N_IMAGES = 32
SIZES = (1, 8, 16, 32)


def draw(pipe: Any, prompts: list[str], size: int, steps: int, is_traced: bool) -> None:
    """Generate an image of every prompt, `size` prompts at a time."""
    for first in range(0, len(prompts), size):
        batch = prompts[first : first + size]
        with trace(pipe) if is_traced else nullcontext() as recording:
            pipe(
                batch,
                num_inference_steps=steps,
                guidance_scale=4.0,
                generator=[torch.Generator().manual_seed(first + i) for i in range(len(batch))],
            )
        if is_traced:
            recording.heat_maps()


def measure(pipe: Any, given: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Time all alternatives in turn with this number of threads."""
    torch.set_num_threads(threads)
    prompts = [scene(number).caption for number in range(N_IMAGES)]
    ways: Ways = {
        f"{name}, {size} at once": partial(draw, pipe, prompts, size, given.steps, name == "traced")
        for name in ("untraced", "traced")
        for size in SIZES
    }
    results = {"images": N_IMAGES, "steps": given.steps, **machine(threads)}
    clock = time.process_time if threads == 1 else time.perf_counter
    warmed_up(ways)
    taken = seconds(ways, given.rounds, clock)
    for name in ("untraced", "traced"):
        single = taken[f"{name}, 1 at once"]
        results[name] = {
            f"{size} at once": {
                "ms per image": float(np.median(taken[f"{name}, {size} at once"]))
                * 1000
                / N_IMAGES,
                "times faster than one by one": ratio(single, taken[f"{name}, {size} at once"]),
            }
            for size in SIZES
        }
    return results


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, nargs="+", default=[1])
    given = options.parse_args()
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    results = [measure(pipe, given, threads) for threads in given.threads]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
