"""Encode a given image into the latents of a family's pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from daam_syntax.errors import TraceError


def encoded(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode images with the mode of the autoencoder's posterior, normalized to the scale of the noise.

    Parameters
    ----------
    pipe
        The pipeline.
    pixels
        Images in [-1, 1]. *Shape:* ``(row, 3, y, x)``

    Returns
    -------
    Tensor
        Latents, float32. *Shape:* ``(row, channel, y, x)``

    Raises
    ------
    TraceError
        If the autoencoder overflows.
    """
    latents = _most_likely(pipe, pixels)
    config = pipe.vae.config
    mean, deviation = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and deviation is not None:
        latents = (latents - _per_channel(mean, latents)) / _per_channel(deviation, latents)
    latents = latents - (getattr(config, "shift_factor", None) or 0.0)
    return latents * (getattr(config, "scaling_factor", None) or 1.0)


def require_autoencoder(pipe: Any) -> None:
    """Raise a `TraceError` if a pipeline works on pixels, without an autoencoder."""
    if getattr(pipe, "vae", None) is None:
        raise TraceError(
            f"Expected a pipeline with an autoencoder, but {type(pipe).__name__} has none: "
            "it cannot trace a given image."
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
    return torch.tensor(values, device="cpu").view(1, -1, *[1] * (latents.ndim - 2)).to(latents)


def _encoded_frame(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode images as videos of one frame, *shape* ``(row, channel, 1, y, x)``."""
    return encoded(pipe, pixels[:, :, None])


def _encoded_patches(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode images into patches of 2 x 2 latents, normalized by the VAE's batch statistics."""
    patches = pipe._patchify_latents(_most_likely(pipe, pixels))
    norm = pipe.vae.bn
    deviation = torch.sqrt(norm.running_var + pipe.vae.config.batch_norm_eps)
    mean = norm.running_mean.view(1, -1, 1, 1).to(patches)
    return (patches - mean) / deviation.view(1, -1, 1, 1).to(patches)


def _unchanged(pipe: Any, latents: Tensor) -> Tensor:
    return latents


def _packed(pipe: Any, latents: Tensor) -> Tensor:
    """Pack 2 x 2 latents into each token, *shape* ``(row, token, channel)``."""
    packed: Tensor = pipe._pack_latents(
        latents, len(latents), latents.shape[1], *latents.shape[-2:]
    )
    return packed


@dataclass(frozen=True)
class ImageLatents:
    """How a family encodes an image, and the shapes of latents in its pipelines.

    Attributes
    ----------
    encode
        Encodes images in [-1, 1], *shape* ``(row, 3, y, x)``, into latents on the scale of the noise. Its arguments
        are the pipeline and the images.
    as_argument
        Converts encoded latents to the pipeline's argument `latents`.
    in_loop
        Converts encoded latents to those that the pipeline passes from step to step.
    per_token
        Rows, and columns, of latents in a token: heights and widths of images are multiples of as many latents.
    """

    encode: Callable[[Any, Tensor], Tensor] = encoded
    as_argument: Callable[[Any, Tensor], Tensor] = _unchanged
    in_loop: Callable[[Any, Tensor], Tensor] = _unchanged
    per_token: int = 1


PLAIN: Final = ImageLatents()
PACKED: Final = ImageLatents(as_argument=_packed, in_loop=_packed, per_token=2)
PACKED_FRAME: Final = ImageLatents(
    encode=_encoded_frame, as_argument=_packed, in_loop=_packed, per_token=2
)
PACKED_PATCHES: Final = ImageLatents(
    encode=_encoded_patches,
    in_loop=lambda pipe, latents: pipe._pack_latents(latents),
    per_token=2,
)
