"""Train the autoencoder, which maps 128 x 128 pixels to 16 x 16 cells of sixteen channels and back.

It starts from an autoencoder of images half as large (see `widening`). A loss keeps the first latent channels close to
those of that autoencoder, and the new channels carry the detail that those lose. So a denoiser of the old
latents can be trained further, too.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from daam_syntax.emoji.scenes import scene
from daam_syntax.emoji.training.dataset import read_arrays
from daam_syntax.emoji.training.devices import IMAGE_FORMAT
from daam_syntax.emoji.training.loop import Session, Trainer
from daam_syntax.emoji.training.reconstruction import (
    as_input,
    draw_batch,
    psnr,
    reconstruction_losses,
    weighted_sum,
)
from daam_syntax.emoji.training.widening import fit_outer_levels, widened_autoencoder

FIRST_TEST_SEED: Final = 500_000
KEEP_WEIGHT: Final = 0.3  # of the loss that keeps the old channels
KL_WEIGHT: Final = 1e-4
POOLED_SHARE: Final = 8  # one in this many latents of a batch is averaged before decoding


@cache
def _test_images(n_scenes: int) -> torch.Tensor:
    seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + n_scenes)
    return torch.from_numpy(np.stack([np.asarray(scene(seed).image) for seed in seeds]))


@torch.no_grad()
def measure(model: AutoencoderKL, n_scenes: int = 100) -> dict[str, float]:
    """Measure the reconstruction of scenes that are not in the training data.

    Returns
    -------
    dict of str to float
        PSNR in dB of the autoencoder (``psnr_db``), and of bicubic enlargement from half the size
        (``bicubic_from_half_db``).
    """
    target = as_input(_test_images(n_scenes).to(model.device))
    outputs = [
        model.decode(model.encode(batch.to(model.dtype)).latent_dist.mean).sample.float()
        for batch in target.split(20)
    ]
    halved = nn.functional.avg_pool2d(target, 2)
    enlarged = nn.functional.interpolate(halved, scale_factor=2, mode="bicubic")
    return {
        "psnr_db": round(psnr(target, torch.cat(outputs)), 3),
        "bicubic_from_half_db": round(psnr(target, enlarged), 3),
    }


def train(
    dataset: Path,
    folder: Path,
    session: Session,
    start_from: Path,
    resume_from: Path | None = None,
    n_scenes: int | None = None,
) -> None:
    """Train the autoencoder, or resume; write ``vae/`` to `folder`.

    Parameters
    ----------
    dataset, folder
        Folders of the scenes and of the results.
    session
        How long and where to train.
    start_from
        Folder of the autoencoder of images half as large, whose latent channels are kept.
    resume_from
        Folder of an autoencoder of this size to train further; None to widen that of `start_from`.
    n_scenes
        Number of scenes to use; None for all that are there.
    """
    images = read_arrays(dataset, "images", n_scenes, session.device)
    torch.manual_seed(0)
    old = _frozen(AutoencoderKL.from_pretrained(start_from), session)
    model = AutoencoderKL.from_pretrained(resume_from) if resume_from else widened_autoencoder(old)
    model.to(session.device, memory_format=IMAGE_FORMAT)
    if resume_from is None and not (folder / "checkpoint.pt").exists():
        fit_outer_levels(model, old, images, session.batch)
    trainer = Trainer(
        {"vae": model},
        folder,
        session,
        learning_rate=8e-4,
        weight_decay=1e-4,
        ema=0.998,
        decay_from=0.3,
    )
    torch.manual_seed(trainer.step)
    old.to(trainer.dtype)
    trainer.run(
        lambda: _losses(model, old, draw_batch(images, session.batch), trainer.dtype),
        on_save=partial(_save, trainer, folder),
    )


def train_decoder(dataset: Path, folder: Path, session: Session, start_from: Path) -> None:
    """Train only the decoder of an autoencoder, whose latents stay valid; write ``vae/`` to `folder`."""
    images = read_arrays(dataset, "images", None, session.device)
    torch.manual_seed(0)
    model = AutoencoderKL.from_pretrained(start_from)
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    model.to(session.device, memory_format=IMAGE_FORMAT)
    trainer = Trainer(
        {"vae": model}, folder, session, learning_rate=8e-4, weight_decay=1e-4, ema=0.998
    )
    torch.manual_seed(trainer.step)

    def losses() -> dict[str, torch.Tensor]:
        target = draw_batch(images, session.batch)
        with torch.no_grad():
            latents = model.encode(target.to(trainer.dtype)).latent_dist.sample()
        parts = reconstruction_losses(target, model.decode(latents).sample.float())
        return {"loss": weighted_sum(parts), **parts}

    trainer.run(losses, on_save=partial(_save, trainer, folder))


def _frozen(model: AutoencoderKL, session: Session) -> AutoencoderKL:
    model.float().eval().requires_grad_(False)
    return model.to(session.device, memory_format=IMAGE_FORMAT)


def _losses(
    model: AutoencoderKL, old: AutoencoderKL, target: torch.Tensor, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Compute the losses of one batch of images in [-1, 1], ``(image, 3, y, x)``."""
    posterior = model.encode(target.to(dtype)).latent_dist
    latents = posterior.sample()
    n = -(-len(target) // POOLED_SHARE)
    parts = reconstruction_losses(target[n:], model.decode(latents[n:]).sample.float())
    # Averaged latents must decode to averaged images. This makes the latent space smooth, and
    # the denoiser learns faster (scale equivariance, Kouzelis et al. 2025, arXiv 2502.09509).
    small, small_target = (nn.functional.avg_pool2d(x[:n], 2) for x in (latents, target))
    pooled = reconstruction_losses(small_target, model.decode(small).sample.float())
    parts = {name: torch.lerp(parts[name], pooled[name], 1 / POOLED_SHARE) for name in parts}
    kl = posterior.kl().float().mean() / posterior.mean[0].numel()
    kept = _kept_loss(posterior.mean.float(), old, target, dtype)
    loss = weighted_sum(parts) + KL_WEIGHT * kl + KEEP_WEIGHT * kept
    return {"loss": loss, **parts, "kl": kl, "kept": kept}


def _kept_loss(
    means: torch.Tensor, old: AutoencoderKL, target: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Compute how far the first channels are from the old latents of the image at half the size."""
    with torch.no_grad():
        halved = nn.functional.avg_pool2d(target, 2).to(dtype)
        wanted = old.encode(halved).latent_dist.mean.float()
    difference = means[:, : wanted.shape[1]] - wanted
    return (old.config.scaling_factor * difference).square().mean()


def _save(trainer: Trainer, folder: Path, averaged: dict[str, nn.Module]) -> None:
    vae: Any = averaged["vae"]
    vae.save_pretrained(folder / "vae")
    print(f"{trainer.step} steps, {trainer.share:.0%}:", measure(vae), flush=True)
