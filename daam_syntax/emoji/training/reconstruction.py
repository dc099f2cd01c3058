"""Images as input of the autoencoder, and errors of their reconstruction."""

from __future__ import annotations

import torch

from daam_syntax.emoji.training.devices import IMAGE_FORMAT


def as_input(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 images ``(image, y, x, 3)`` to floats in [-1, 1], ``(image, 3, y, x)``."""
    scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=IMAGE_FORMAT)


def draw_batch(images: torch.Tensor, n: int) -> torch.Tensor:
    """Draw `n` scenes at random, half of them mirrored, as input of the autoencoder."""
    drawn = as_input(images[(torch.rand(n, device=images.device) * len(images)).long()])
    mirrored = torch.rand(n, 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, drawn.flip(3), drawn)


def _edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images[..., 1:, :] - images[..., :-1, :], images[..., :, 1:] - images[..., :, :-1]


def reconstruction_losses(target: torch.Tensor, output: torch.Tensor) -> dict[str, torch.Tensor]:
    """Compute the L1 and squared errors, and the L1 error of the image gradient, which preserves thin shapes."""
    edge = sum((a - b).abs().mean() for a, b in zip(_edges(target), _edges(output), strict=True))
    return {
        "l1": (output - target).abs().mean(),
        "mse": (output - target).square().mean(),
        "edge": torch.as_tensor(edge),
    }


def weighted_sum(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the loss to minimize, from the parts that `reconstruction_losses` returns."""
    return parts["l1"] + parts["mse"] + 0.5 * parts["edge"]


def psnr(target: torch.Tensor, output: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, averaged over images with values in [-1, 1]."""
    error = (output.clamp(-1, 1) - target).square().mean(dim=(1, 2, 3)) / 4
    return float((-10 * torch.log10(error)).mean())
