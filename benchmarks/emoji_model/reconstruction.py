"""What encoding and decoding loses: errors of the autoencoder on fresh scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from daam_syntax.emoji.scenes import Scene

_BATCH = 20


def reconstruction(pipe: Any, scenes: Sequence[Scene]) -> dict[str, float]:
    """Measure the errors of encoding and decoding fresh scenes; pixel values are in [0, 1]."""
    target, output = [], []
    for start in range(0, len(scenes), _BATCH):
        pixels = np.stack([np.asarray(s.image) for s in scenes[start : start + _BATCH]])
        given = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        target.append(given)
        output.append(_decoded(pipe, given))
    return _errors(scenes, torch.cat(target), torch.cat(output))


def _decoded(pipe: Any, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        latents = pipe.vae.encode(images.to(pipe.device) * 2 - 1).latent_dist.mean
        return (pipe.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1).cpu()


def _errors(
    scenes: Sequence[Scene], target: torch.Tensor, output: torch.Tensor
) -> dict[str, float]:
    objects = torch.from_numpy(
        np.stack([np.any([obj.mask for obj in s.objects], axis=0) for s in scenes])
    )[:, None]

    def saturation(x: torch.Tensor) -> float:
        spread = (x.amax(1, keepdim=True) - x.amin(1, keepdim=True)) * objects
        return float(spread.sum() / objects.sum())

    squared = (output - target).square()
    on_objects = (squared * objects).sum(dim=(1, 2, 3)) / objects.sum(dim=(1, 2, 3)) / 3
    return {
        "n_scenes": len(scenes),
        "l1": float((output - target).abs().mean()),
        "psnr_db": float((-10 * torch.log10(squared.mean(dim=(1, 2, 3)))).mean()),
        "object_psnr_db": float((-10 * torch.log10(on_objects)).mean()),
        "object_l1": float(((output - target).abs() * objects).sum() / objects.sum() / 3),
        "object_saturation_kept": saturation(output) / saturation(target),
    }
