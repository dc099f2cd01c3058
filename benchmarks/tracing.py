"""What tracing costs: ``python benchmarks/tracing.py [--daam FOLDER]``.

Draws with a UNet of Stable Diffusion 1.5's shape (random weights, 512 x 512, one image, guidance), untraced, traced,
and, where the released package can be imported, under ``daam``: in turn, in one run, so that the ratios hold while the
machine's speed drifts. To compare with the released package, install it beside the project, without what it pins::

    pip install --no-deps --target daam-released daam==0.2.0
    python benchmarks/tracing.py --daam daam-released

Writes ``benchmarks/results/tracing.json``: time ratios (median and range of the rounds), and the extra peak of
memory. Peaks are of the process's resident memory, each measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results" / "tracing.json"
PROMPT = "a red cat chasing a small blue owl in the snow"


def build() -> Any:
    """Build a pipeline with SD 1.5's UNet; encoder and decoder are small, since no trace touches them."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from daam_syntax.language import parse
    from daam_syntax.loading import load_pipeline

    parse(PROMPT)  # so that every way has the parser in memory, and none pays for loading it
    torch.manual_seed(0)
    tokenizer = load_pipeline("emoji").tokenizer
    tokenizer.model_max_length = 77
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=768,
        num_hidden_layers=1,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
    )
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tracer(way: str, pipe: Any) -> AbstractContextManager[Any]:
    """Return the context in which to draw."""
    if way == "untraced":
        return nullcontext()
    if way == "traced":
        from daam_syntax import trace

        return trace(pipe)
    import daam

    return daam.trace(pipe)


def draw(way: str, pipe: Any, steps: int) -> float:
    """Draw once, and return the seconds it took, maps included."""
    started = time.perf_counter()
    with tracer(way, pipe) as recording:
        pipe(PROMPT, num_inference_steps=steps, generator=torch.Generator().manual_seed(0))
        if way == "daam":
            recording.compute_global_heat_map()
    if way == "traced":
        recording.heat_maps()
    return time.perf_counter() - started


def resident_peak() -> float:
    """Return the largest resident memory of this process so far, MB."""
    # Not getrusage: what it reports begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024  # type: ignore[index]


def peak(way: str, given: argparse.Namespace) -> float:
    """Draw once in a process of its own, and return its peak of resident memory, MB."""
    command = [sys.executable, __file__, "--only", way, "--steps", str(given.steps)]
    command += ["--threads", str(given.threads)]
    if given.daam:
        command += ["--daam", str(given.daam)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def times(ways: list[str], pipe: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Draw in all ways in turn, several rounds, and return the ratios to the untraced time."""
    for way in ways:
        draw(way, pipe, 1)  # warm up
    rounds = [{way: draw(way, pipe, given.steps) for way in ways} for _ in range(given.rounds)]
    results: dict[str, Any] = {
        "shape": "Stable Diffusion 1.5, 512 x 512, 1 image with guidance, float32",
        "steps": given.steps,
        "threads": given.threads,
        "untraced seconds (median)": statistics.median(r["untraced"] for r in rounds),
    }
    for way in ways[1:]:
        ratios = [r[way] / r["untraced"] for r in rounds]
        results[f"{way} / untraced"] = {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
            "rounds": len(ratios),
        }
    return results


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--daam", type=Path, help="folder that holds the released daam package")
    options.add_argument(
        "--memory-only", action="store_true", help="measure memory again, and keep the last times"
    )
    options.add_argument("--only", help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    if given.daam:
        sys.path.append(str(given.daam))
    pipe = build()
    if given.only:
        draw(given.only, pipe, given.steps)
        print(resident_peak())
        return

    results = {} if not given.memory_only else json.loads(RESULTS.read_text(encoding="utf-8"))
    ways, problem = ["untraced", "traced"], None
    if given.daam:
        try:
            draw("daam", pipe, 1)
            ways.append("daam")
        except Exception as error:  # the released package is not ours: say what it said
            problem = f"could not run: {type(error).__name__}: {error}"
    if not given.memory_only:
        results |= times(ways, pipe, given)
    peaks = {way: peak(way, given) for way in ways}
    results |= {f"{way}: extra peak memory, MB": peaks[way] - peaks["untraced"] for way in ways[1:]}
    results["untraced: peak memory, MB"] = peaks["untraced"]
    if problem:
        results["daam"] = problem
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
