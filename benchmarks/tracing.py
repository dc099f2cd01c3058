"""What tracing cross-attention costs: ``python benchmarks/tracing.py [--daam FOLDER] [--maps CHECKOUT]``.

Untraced and traced, and beside them as the packages of `peers.py` record, where they are given; random weights, since
cost does not depend on them:

- ``unet``: a pipeline with a UNet of Stable Diffusion 1.5's shape draws one image of 512 x 512 with guidance, maps
  included;
- ``blocks``: the two kinds of transformer block of SDXL's UNet for 1024 x 1024, and the cross-attention of each alone;
- ``memory``: the extra peak of memory of the first.

Writes the parts that were asked for into ``benchmarks/results/tracing.json``: ratios of processor time (median over the
rounds and its 95 % bootstrap interval), and the extra peak of resident memory, each measured in a process of its own.
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
from blocks import Block, attention_of, inside, sdxl_block, traced
from peers import DAAM, MAPS, Ways, add_folder, daam_of_module, maps_of_modules
from side_by_side import extra_peak, machine, measure_parts, measured_extra_peak, ratios

RESULTS = Path(__file__).parent / "results" / "tracing.json"
PROMPT = "a red cat chasing a small blue owl in the snow"
SHAPE = "Stable Diffusion 1.5, 512 x 512, 1 image with guidance, float32"
MAPS_CALL = "attn_call2_0"


def build() -> Any:
    """Build a pipeline with SD 1.5's UNet; encoder and decoder are small, since no trace touches them."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from daam_syntax.pipelines.loading import load_pipeline

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
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, steps: int, tracer: AbstractContextManager[Any]) -> Any:
    """Draw once, and return what was recorded."""
    with tracer as recording:
        pipe(PROMPT, num_inference_steps=steps, generator=torch.Generator().manual_seed(0))
        if hasattr(
            recording, "compute_global_heat_map"
        ):  # the one of daam, which wants to be inside
            recording.compute_global_heat_map()
    return recording


def drawing_ways(pipe: Any, given: argparse.Namespace) -> Ways:
    """Return the ways to draw, by name."""
    from daam_syntax import trace

    ways: Ways = {
        "untraced": lambda: draw(pipe, given.steps, nullcontext()),
        "traced": lambda: draw(pipe, given.steps, trace(pipe)).heat_maps(),
    }
    if given.daam:
        import daam

        ways[DAAM] = lambda: draw(pipe, given.steps, daam.trace(pipe))
    if given.maps:
        ways[MAPS] = lambda: draw(
            pipe, given.steps, maps_of_modules(pipe.unet, "attn2", given.maps, MAPS_CALL)
        )
    return ways


def block_ways(block: Block, given: argparse.Namespace) -> Ways:
    """Return the ways to run a block, by name."""
    ways: Ways = {"untraced": block.run, "traced": inside(block, partial(traced, block))}
    attention = block.module.get_submodule(block.attention)
    if given.daam:
        pixels = block.split.pixels.stop
        ways[DAAM] = inside(block, partial(daam_of_module, attention, pixels))
    if given.maps:
        ways[MAPS] = inside(
            block, partial(maps_of_modules, block.module, block.attention, given.maps, MAPS_CALL)
        )
    return ways


@contextmanager
def own_time() -> Iterator[list[float]]:
    """Yield a list of the processor seconds that each hearing of an attention takes."""
    from daam_syntax.attention.pipeline_call.recorder import Recorder

    taken: list[float] = []
    hear = Recorder.attention_ran

    def timed(*args: Any) -> None:
        started = time.process_time()
        hear(*args)
        taken.append(time.process_time() - started)

    with mock.patch.object(Recorder, "attention_ran", timed):
        yield taken


def measure_unet(given: argparse.Namespace) -> dict[str, Any]:
    """Draw in all ways in turn; and time what a trace itself does, which hardly scatters."""
    pipe = build()
    ways = drawing_ways(pipe, given)
    results = {"shape": SHAPE, "steps": given.steps, **machine(given.threads)}
    results |= ratios(ways, given.rounds)
    with own_time() as taken:
        started = time.process_time()
        ways["traced"]()
        whole = time.process_time() - started
    return results | {"share of the traced time that is spent on attention": sum(taken) / whole}


def measure_blocks(given: argparse.Namespace) -> dict[str, Any]:
    """Run the blocks, and their cross-attentions alone, in all ways in turn."""
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
    """Measure the extra peak of each way to draw."""
    ways = ["traced", *([DAAM] if given.daam else []), *([MAPS] if given.maps else [])]
    arguments = ["--steps", str(given.steps), "--threads", str(given.threads)]
    for option in ("daam", "maps"):
        if folder := getattr(given, option):
            arguments += [f"--{option}", str(folder)]
    return {
        "steps": given.steps,
        "extra peak memory, MB": {
            SHAPE: {way: extra_peak(__file__, [*arguments, "--peak-of", way]) for way in ways}
        },
    }


PARTS = {"unet": measure_unet, "blocks": measure_blocks, "memory": measure_memory}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--steps", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--daam", type=Path, help="folder that holds the released daam package")
    options.add_argument("--maps", type=Path, help="checkout of attention-map-diffusers")
    options.add_argument("--peak-of", help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    add_folder(given.daam)
    if given.peak_of:
        ways = drawing_ways(build(), given)
        print(measured_extra_peak(ways[given.peak_of], ways["untraced"]))
        return
    measure_parts(PARTS, given, RESULTS)


if __name__ == "__main__":
    main()
