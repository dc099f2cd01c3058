"""Train the annotator on degraded scenes, so that it also works on generated images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import nn

from daam_syntax.emoji.annotator import READING_SIZE, SegmentationNet
from daam_syntax.emoji.scenes import IMAGE_SIZE
from daam_syntax.emoji.training.dataset import Dataset, read_dataset
from daam_syntax.emoji.training.devices import IMAGE_FORMAT
from daam_syntax.emoji.training.loop import Session, Trainer
from daam_syntax.emoji.training.reconstruction import as_input

WIDTHS: Final = (48, 96, 160)

_SHRINK: Final = IMAGE_SIZE // READING_SIZE
_MOST_LATENT_NOISE: Final = 0.5  # in standard deviations of the latents
_MOST_COARSE_NOISE: Final = 0.15


def redrawn(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Degrade images as the denoiser does: blur their latents, add noise to them, and decode them.

    Parameters
    ----------
    vae
        The autoencoder of the embedded model.
    images
        Pixels in [-1, 1]. *Shape:* ``(image, 3, y, x)``.
    """
    with torch.no_grad():
        latents = vae.encode(images.to(vae.dtype)).latent_dist.mean
        amount = torch.rand(2, len(images), 1, 1, 1, device=images.device, dtype=vae.dtype)
        latents = torch.lerp(latents, _blurred(latents), amount[0])
        sigma = _MOST_LATENT_NOISE / float(vae.config.scaling_factor) * amount[1]
        output: torch.Tensor = vae.decode(latents + sigma * torch.randn_like(latents)).sample
    return output.float()


def degraded(images: torch.Tensor) -> torch.Tensor:
    """Blur images and add smooth noise to them, each image to an extent of its own."""
    amount, level = torch.rand(2, len(images), 1, 1, 1, device=images.device)
    images = torch.lerp(images, _blurred(images), amount)
    coarse = torch.randn(len(images), 3, 16, 16, device=images.device) * level * _MOST_COARSE_NOISE
    noise = nn.functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear")
    return (images + noise).clamp(-1, 1)


def _blurred(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def draw_batch(
    data: Dataset, n: int, vae: AutoencoderKL | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw `n` scenes as the annotator reads them: a quarter as they are, the others degraded.

    Returns
    -------
    images, nouns, colors
        Pixels in [-1, 1], ``(image, 3, y, x)``; classes of the pixels, int64, ``(image, y, x)``.
    """
    device = data.images.device
    chosen = (torch.rand(n, device=device) * len(data.images)).long()
    images = as_input(data.images[chosen])
    if vae is not None:
        images = torch.cat([redrawn(vae, images[: n // 2]), images[n // 2 :]])
    images = nn.functional.avg_pool2d(images, _SHRINK)
    images = torch.cat([degraded(images[: 3 * n // 4]), images[3 * n // 4 :]])
    nouns, colors = (
        labels[chosen][:, ::_SHRINK, ::_SHRINK].long() for labels in (data.nouns, data.colors)
    )
    return images.contiguous(memory_format=IMAGE_FORMAT), nouns, colors


def train(
    dataset: Path,
    folder: Path,
    session: Session,
    autoencoder: Path | None = None,
    n_scenes: int | None = None,
) -> None:
    """Train the annotator, or resume; write ``config.json`` and ``model.safetensors`` to `folder`.

    Parameters
    ----------
    dataset, folder
        Folders of the scenes and of the results.
    session
        How long and where to train.
    autoencoder
        Folder of the autoencoder with which half of the scenes are degraded; None for none of them.
    n_scenes
        Number of scenes to use; None for all that are there.
    """
    data = read_dataset(dataset, n_scenes, session.device)
    torch.manual_seed(0)
    network = SegmentationNet(WIDTHS)
    network.to(session.device, memory_format=IMAGE_FORMAT)  # type: ignore[call-overload]
    trainer = Trainer({"network": network}, folder, session, learning_rate=1.5e-3, ema=0.998)
    torch.manual_seed(trainer.step)
    vae = None
    if autoencoder is not None:
        vae = AutoencoderKL.from_pretrained(autoencoder).eval().requires_grad_(False)
        vae.to(session.device, trainer.dtype, memory_format=IMAGE_FORMAT)

    def losses() -> dict[str, torch.Tensor]:
        images, *targets = draw_batch(data, session.batch, vae)
        nouns, colors = network(images.to(trainer.dtype))
        noun = nn.functional.cross_entropy(nouns.float(), targets[0])
        color = nn.functional.cross_entropy(colors.float(), targets[1])
        return {"loss": noun + 0.5 * color, "noun": noun, "color": color}

    def save(averaged: dict[str, nn.Module]) -> None:
        weights = averaged["network"].state_dict()
        save_file(
            {name: w.half().contiguous().cpu() for name, w in weights.items()},
            folder / "model.safetensors",
        )
        config = {"widths": WIDTHS, "step": trainer.step}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    trainer.run(losses, on_save=save)
