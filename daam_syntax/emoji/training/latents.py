"""Training scenes as latents and captions: each scene is encoded once.

Latents come in shards as scenes do, so that more can be added at any time. The autoencoder is kept beside
them, with normalized latents; decoders and denoisers for them are trained with that one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import nn

from daam_syntax.emoji.training.dataset import (
    SHARD,
    complete_shards,
    read_array,
    read_arrays,
    read_captions,
    write_array,
    write_captions,
)
from daam_syntax.emoji.training.devices import IMAGE_FORMAT, computing_dtype
from daam_syntax.emoji.training.reconstruction import as_input
from daam_syntax.util.progress import show_progress

SHAPE_CHANNELS: Final = 6
"""Number of the first latent channels, which carry shapes; the others carry detail."""

_BATCH: Final = 250
_WAIT: Final = 0.5  # seconds between looks for new scenes


def write_latents(
    autoencoder: Path,
    dataset: Path,
    folder: Path,
    device: torch.device,
    *,
    normalized: bool = False,
    until: int | None = None,
) -> None:
    """Encode the scenes of a dataset that are not encoded yet.

    Parameters
    ----------
    autoencoder, dataset
        Folders of the trained autoencoder and of the scenes.
    folder
        Where the normalized autoencoder (``vae/``) and the shards (``<first seed>.npy``, ``.json``) go.
    device
        Where to encode.
    normalized
        Whether the latents of the autoencoder are normalized already, as those of a shipped one are; it is then kept
        as it is, for denoisers that know its latents.
    until
        Number of scenes to encode as they are composed, waiting for them; None for those that are there.
    """
    vae = normalized_autoencoder(autoencoder, dataset, folder, device, normalized)
    done = len(complete_shards(folder))
    total = len(complete_shards(dataset)) if until is None else -(-until // SHARD)
    with show_progress(True, total, done, label="Encoding", unit="shards") as bar:
        while done < total:
            if encode_shards(vae, dataset, folder, at_most=1):
                done += 1
                bar.advance()
            else:
                time.sleep(_WAIT)


def normalized_autoencoder(
    autoencoder: Path,
    dataset: Path,
    folder: Path,
    device: torch.device,
    is_normalized: bool = False,
) -> AutoencoderKL:
    """Return the autoencoder of the latents in `folder`, ready to encode; make it first if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "vae").exists():
        vae = AutoencoderKL.from_pretrained(autoencoder).float().eval().to(device)
        if not is_normalized:
            normalize(vae, read_arrays(dataset, "images", 1_000, device))
        vae.save_pretrained(folder / "vae")
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    return vae.to(device, computing_dtype(device), memory_format=IMAGE_FORMAT)


def encode_shards(vae: AutoencoderKL, dataset: Path, folder: Path, at_most: int) -> int:
    """Encode the first shards that are not encoded yet, at most `at_most`; return their number."""
    there = set(complete_shards(folder))
    missing = [seed for seed in complete_shards(dataset) if seed not in there][:at_most]
    for seed in missing:
        means = encode(vae, read_array(dataset / f"{seed}.images.npy", vae.device))
        write_array(folder / f"{seed}.npy", means.half().cpu().numpy())
        write_captions(folder / f"{seed}.json", read_captions(dataset / f"{seed}.json"))
    return len(missing)


@torch.no_grad()
def encode(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Return the latent means of uint8 images ``(image, y, x, 3)``, float32, ``(image, channel, y, x)``."""
    batches = [
        vae.encode(as_input(batch).to(vae.dtype)).latent_dist.mean.float()
        for batch in images.split(_BATCH)
    ]
    return torch.cat(batches)


@torch.no_grad()
def normalize(vae: AutoencoderKL, images: torch.Tensor, n_kept: int = SHAPE_CHANNELS) -> None:
    """Give the latent channels one scale, so that one `scaling_factor` suits all of them.

    The first `n_kept` channels stay as they are, because a denoiser may know them already; the others get mean 0 and
    the standard deviation of the first ones together. Decoding reverses it, so reconstructions do not change.

    Parameters
    ----------
    vae
        The autoencoder to change, in 32 bits.
    images
        Scenes to measure the latents of, uint8. *Shape:* ``(image, y, x, 3)``.
    n_kept
        Number of channels that stay as they are.
    """
    means = encode(vae, images).transpose(0, 1).flatten(1)
    common = float(means[:n_kept].std())
    scale = torch.ones(len(means), device=means.device)
    shift = torch.zeros(len(means), device=means.device)
    scale[n_kept:] = means[n_kept:].std(dim=1) / common
    shift[n_kept:] = means[n_kept:].mean(dim=1)
    _divide_outputs(vae.quant_conv, scale, shift)
    _multiply_inputs(vae.post_quant_conv, scale, shift)
    vae.register_to_config(scaling_factor=1.0 / common)


def _divide_outputs(quant_conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> None:
    """Turn the means into (mean - shift) / scale, and the logarithms of the variances accordingly."""
    n = len(scale)
    weight, bias = quant_conv.parameters()
    weight[:n] /= scale[:, None, None, None]
    bias[:n] = (bias[:n] - shift) / scale
    bias[n:] -= 2 * scale.log()


def _multiply_inputs(post_quant_conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> None:
    """Read latents as latent * scale + shift."""
    weight, bias = post_quant_conv.parameters()
    bias.add_(weight[..., 0, 0] @ shift)
    weight.mul_(scale[None, :, None, None])
