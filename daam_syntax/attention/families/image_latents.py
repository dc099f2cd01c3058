"""How a given picture becomes the latents that a family's pipelines draw on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from daam_syntax.errors import TraceError


def encoded(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode pictures by the mode of the autoencoder's posterior, and bring them to the scale of the noise.

    Parameters
    ----------
    pipe
        The pipeline.
    pixels
        In [-1, 1], *Shape:* (row, 3, y, x)

    Returns
    -------
    Tensor
        Float32. *Shape:* (row, channel, y, x)
    """
    latents = _most_likely(pipe, pixels)
    config = pipe.vae.config
    mean, deviation = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and deviation is not None:
        latents = (latents - _per_channel(mean, latents)) / _per_channel(deviation, latents)
    latents = latents - (getattr(config, "shift_factor", None) or 0.0)
    return latents * (getattr(config, "scaling_factor", None) or 1.0)


def require_autoencoder(pipe: Any) -> None:
    """Raise a `TraceError` for a pipeline that draws pixels."""
    if getattr(pipe, "vae", None) is None:
        raise TraceError(
            f"Expected a pipeline with an autoencoder, but {type(pipe).__name__} has none: "
            "reading a given picture is not possible with this one."
        )


def _most_likely(pipe: Any, pixels: Tensor) -> Tensor:
    vae = pipe.vae
    output = vae.encode(pixels.to(pipe._execution_device, vae.dtype))
    latents: Tensor = output.latent_dist.mode() if hasattr(output, "latent_dist") else output.latent
    if not torch.isfinite(latents).all():
        raise TraceError(
            f"Expected finite latents, but the VAE overflowed in {vae.dtype}: call "
            "pipe.vae.to(torch.float32)."
        )
    return latents.float()


def _per_channel(values: list[float], latents: Tensor) -> Tensor:
    return torch.tensor(values).view(1, -1, *[1] * (latents.ndim - 2)).to(latents)


def _encoded_frame(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode pictures as films of one frame, (row, channel, 1, y, x)."""
    return encoded(pipe, pixels[:, :, None])


def _encoded_patches(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode pictures into patches of 2 x 2 latents that are normalised by the VAE's batch statistics."""
    patches = pipe._patchify_latents(_most_likely(pipe, pixels))
    norm = pipe.vae.bn
    deviation = torch.sqrt(norm.running_var + pipe.vae.config.batch_norm_eps)
    mean = norm.running_mean.view(1, -1, 1, 1).to(patches)
    return (patches - mean) / deviation.view(1, -1, 1, 1).to(patches)


def _as_they_are(pipe: Any, latents: Tensor) -> Tensor:
    return latents


def _packed(pipe: Any, latents: Tensor) -> Tensor:
    """Pack 2 x 2 latents into each token, (row, token, channel)."""
    packed: Tensor = pipe._pack_latents(
        latents, len(latents), latents.shape[1], *latents.shape[-2:]
    )
    return packed


@dataclass(frozen=True)
class PictureLatents:
    """How a family's latents are made of a picture, and what shapes its pipelines give them.

    Attributes
    ----------
    encode
        From the pipeline and pictures in [-1, 1], (row, 3, y, x), to latents on the scale of the noise.
    given
        From those to what the pipeline takes as its argument `latents`.
    looped
        From those to what it hands from step to step.
    """

    encode: Callable[[Any, Tensor], Tensor] = encoded
    given: Callable[[Any, Tensor], Tensor] = _as_they_are
    looped: Callable[[Any, Tensor], Tensor] = _as_they_are


PLAIN: Final = PictureLatents()
PACKED: Final = PictureLatents(given=_packed, looped=_packed)
PACKED_FRAME: Final = PictureLatents(encode=_encoded_frame, given=_packed, looped=_packed)
PACKED_PATCHES: Final = PictureLatents(
    encode=_encoded_patches, looped=lambda pipe, latents: pipe._pack_latents(latents)
)
