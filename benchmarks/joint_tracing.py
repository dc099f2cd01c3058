"""What tracing joint attention costs on a CPU: ``python benchmarks/joint_tracing.py [--size 512]``.

Draws one step with a Stable Diffusion 3 transformer of few but full-sized blocks (random weights; 512 x 512: 1,024
pixels and 333 text tokens, guidance), untraced and traced in turn, in one run, so that the ratios hold while the
machine's speed drifts; and traced without the kernel's log-sum-exp, to show what that saves. Prints the ratios of
processor time: median and range of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PROMPT = "the red cat and the blue owl"


def build(blocks: int) -> Any:
    """Build an SD3 pipeline whose blocks have the real one's width; text encoders are small."""
    from diffusers import SD3Transformer2DModel
    from family_pipelines import make

    pipe = make("SD3")
    torch.manual_seed(0)
    pipe.transformer = SD3Transformer2DModel(
        sample_size=64,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=blocks,
        attention_head_dim=64,
        num_attention_heads=24,
        joint_attention_dim=32,
        caption_projection_dim=1536,
        pooled_projection_dim=32,
        pos_embed_max_size=96,
    ).eval()
    return pipe


def seconds(pipe: Any, size: int, around: AbstractContextManager[Any]) -> float:
    """Return the processor time of drawing one step."""
    start = time.process_time()
    with around, torch.no_grad():
        pipe(
            PROMPT,
            height=size,
            width=size,
            num_inference_steps=1,
            output_type="latent",
            max_sequence_length=256,
        )
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    from daam_syntax.attention import trace

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipe = build(options.blocks)
    seconds(pipe, options.size, nullcontext())  # the first call is slower
    dear = mock.patch("daam_syntax.attention.kernels._is_joint_on_cpu", return_value=False)
    ratios: dict[str, list[float]] = {"traced": [], "traced without the kernel's log-sum-exp": []}
    for _ in range(options.rounds):
        untraced = seconds(pipe, options.size, nullcontext())
        ratios["traced"].append(seconds(pipe, options.size, trace(pipe)) / untraced)
        with dear:
            ratios["traced without the kernel's log-sum-exp"].append(
                seconds(pipe, options.size, trace(pipe)) / untraced
            )
    found = {
        name: {
            "median": round(statistics.median(each), 3),
            "range": [round(min(each), 3), round(max(each), 3)],
        }
        for name, each in ratios.items()
    }
    print(json.dumps({**vars(options), "ratios": found}, indent=2))


if __name__ == "__main__":
    main()
