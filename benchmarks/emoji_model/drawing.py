"""Generate images of prompts, in batches, on any device; the noise of a prompt does not depend on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.model import GUIDANCE, STEPS
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.pipelines.settings import CPU_BATCH_SIZE

GPU_BATCH_SIZE: Final = 100
"""Images to draw together on a GPU."""

PARTS: Final = ("vae", "text_encoder", "unet")
"""Parts of the pipeline that have weights."""


def load(model: str | Path, device: str) -> Any:
    """Load a pipeline in 32 bits, without its own progress bar."""
    pipe = load_pipeline(model, device=device, dtype="float32")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def batch_size(pipe: Any) -> int:
    """Return how many images to draw together."""
    return CPU_BATCH_SIZE if pipe.device.type == "cpu" else GPU_BATCH_SIZE


def draw(pipe: Any, prompts: Sequence[str], seeds: Sequence[int]) -> Iterator[list[Image.Image]]:
    """Generate one image of each prompt from the noise of its seed; yield them batch by batch."""
    size = batch_size(pipe)
    for start in range(0, len(prompts), size):
        chosen = seeds[start : start + size]
        with torch.inference_mode():
            yield pipe(
                list(prompts[start : start + size]),
                generator=[torch.Generator().manual_seed(seed) for seed in chosen],
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
            ).images


def fingerprint(pipe: Any, annotator: Annotator) -> str:
    """Return a digest of the weights of a pipeline and its annotator, in half precision as they are shipped."""
    digest = hashlib.sha256()
    for module in (*(getattr(pipe, part) for part in PARTS), annotator.network):
        for name, weight in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()[:16]


def parameters(pipe: Any) -> dict[str, int]:
    """Count the parameters of each part of a pipeline."""
    return {part: sum(p.numel() for p in getattr(pipe, part).parameters()) for part in PARTS}
