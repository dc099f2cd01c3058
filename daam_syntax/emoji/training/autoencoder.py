"""Train the autoencoder, which maps 64 x 64 pixels to 16 x 16 cells of six channels and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from daam_syntax.emoji.scenes import IMAGE_SIZE
from daam_syntax.emoji.training.dataset import read_dataset
from daam_syntax.emoji.training.loop import Trainer

LATENT_CHANNELS = 6
BATCH = 16


def build() -> AutoencoderKL:
    """Build the untrained autoencoder."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        mid_block_add_attention=False,
    )


def as_input(images: np.ndarray) -> torch.Tensor:
    """Convert uint8 images ``(image, y, x, 3)`` to floats in [-1, 1], ``(image, 3, y, x)``."""
    scaled = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=torch.channels_last)


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


def train(
    dataset: Path, folder: Path, steps: int, threads: int, decoder_only: bool = False
) -> None:
    """Train the autoencoder, or resume; write ``vae/`` to `folder`.

    With `decoder_only`, the encoder is frozen, so existing latents stay valid.
    """
    images = read_dataset(dataset).images
    torch.manual_seed(0)
    model = build().to(memory_format=torch.channels_last)
    if decoder_only:
        model = AutoencoderKL.from_pretrained(folder / "vae")
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
        folder = folder / "decoder"
    trainer = Trainer(
        {"vae": model}, folder, steps=steps, learning_rate=1e-3, weight_decay=1e-4, ema=0.998
    )
    rng = np.random.default_rng(trainer.step)

    def losses() -> dict[str, torch.Tensor]:
        target = as_input(images[np.sort(rng.integers(0, len(images), BATCH))])
        posterior = model.encode(target.bfloat16()).latent_dist
        latents = posterior.sample()
        # Averaged latents must decode to averaged images. This makes the latent space smooth, and
        # the denoiser learns faster (scale equivariance, Kouzelis et al. 2025, arXiv 2502.09509).
        if not decoder_only and rng.random() < 0.2:
            latents = torch.nn.functional.avg_pool2d(latents, 2)
            target = torch.nn.functional.avg_pool2d(target, 2)
        parts = reconstruction_losses(target, model.decode(latents).sample.float())
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        loss = parts["l1"] + parts["mse"] + 0.5 * parts["edge"] + 1e-4 * kl
        return {"loss": loss, **parts, "kl": kl}

    trainer.run(losses, threads=threads, on_save=lambda: model.save_pretrained(folder / "vae"))
