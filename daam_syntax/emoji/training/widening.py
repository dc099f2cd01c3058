"""Start larger models from the weights of smaller ones: more pixels, more latent channels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from daam_syntax.emoji.training.architectures import (
    LATENT_CHANNELS,
    build_autoencoder,
    build_unet,
)
from daam_syntax.emoji.training.reconstruction import (
    draw_batch,
    reconstruction_losses,
    weighted_sum,
)


@torch.no_grad()
def widened_autoencoder(old: AutoencoderKL) -> AutoencoderKL:
    """Build an autoencoder of one more level that begins with the weights of `old` where they fit.

    Parameters
    ----------
    old
        An autoencoder of three levels, whose innermost ones are as wide as those that `build_autoencoder` gives.
    """
    new = build_autoencoder()
    for mine, theirs in _matching_modules(new, old):
        weights = mine.state_dict()
        fitting = {
            name: weight
            for name, weight in theirs.state_dict().items()
            if name in weights and weights[name].shape == weight.shape
        }
        mine.load_state_dict(fitting, strict=False)
    n = old.config.latent_channels
    # The encoder's last layers give means, then logarithms of variances.
    kept = [*range(n), *range(LATENT_CHANNELS, LATENT_CHANNELS + n)]
    conv_out = new.encoder.conv_out
    conv_out.weight[kept], conv_out.bias[kept] = (
        old.encoder.conv_out.weight,
        old.encoder.conv_out.bias,
    )
    _widen_pointwise(new.quant_conv, old.quant_conv, kept)
    _widen_pointwise(new.post_quant_conv, old.post_quant_conv, list(range(n)))
    new.decoder.conv_in.weight.zero_()
    new.decoder.conv_in.weight[:, :n] = old.decoder.conv_in.weight
    new.decoder.conv_in.bias.copy_(old.decoder.conv_in.bias)
    nn.init.dirac_(new.decoder.up_blocks[2].upsamplers[0].conv.weight)
    return new


def _matching_modules(
    new: AutoencoderKL, old: AutoencoderKL
) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Pair modules of the same role: the new encoder has one more level first, the new decoder last."""
    yield new.encoder.mid_block, old.encoder.mid_block
    yield new.encoder.conv_norm_out, old.encoder.conv_norm_out
    yield new.decoder.mid_block, old.decoder.mid_block
    yield from zip(new.encoder.down_blocks[1:], old.encoder.down_blocks, strict=True)
    yield from zip(new.decoder.up_blocks[:-1], old.decoder.up_blocks, strict=True)


def _widen_pointwise(new: nn.Conv2d, old: nn.Conv2d, kept: list[int]) -> None:
    """Make a 1 x 1 convolution compute what `old` does on the `kept` channels, and copy the others."""
    weight, bias = new.parameters()
    nn.init.dirac_(weight)
    bias.zero_()
    rows = torch.tensor(kept)
    weight[rows[:, None], rows[None, :]], bias[rows] = old.parameters()


def fit_outer_levels(
    model: AutoencoderKL,
    old: AutoencoderKL,
    images: torch.Tensor,
    batch: int,
    steps: int = 500,
) -> None:
    """Fit what is new in `model` while the inner levels stay as they are.

    The new first level of the encoder learns to give what the first layers of `old` give for the image averaged down;
    the new last level of the decoder learns to draw the large image from the last features of `old`.
    Without this, training begins by spoiling the inner levels: after 600 steps it was still worse than `old`.

    Parameters
    ----------
    model, old
        The widened autoencoder, and the one that it was widened from.
    images
        Training scenes, uint8. *Shape:* ``(scene, y, x, 3)``.
    batch, steps
        Scenes in a batch; number of batches.
    """
    encoder, decoder = model.encoder, model.decoder
    parts = nn.ModuleList(
        [
            encoder.conv_in,
            encoder.down_blocks[0],
            encoder.down_blocks[1].resnets[0],
            decoder.up_blocks[2].upsamplers,
            decoder.up_blocks[3],
            decoder.conv_norm_out,
            decoder.conv_out,
        ]
    )
    optimizer = torch.optim.AdamW(parts.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        target = draw_batch(images, batch)
        with torch.no_grad():
            halved = nn.functional.avg_pool2d(target, 2)
            wanted = old.encoder.down_blocks[0].resnets[0](old.encoder.conv_in(halved), None)
            drawn = _last_features(old, old.encode(halved).latent_dist.mean)
        given = encoder.down_blocks[0](encoder.conv_in(target))
        given = encoder.down_blocks[1].resnets[0](given, None)
        matched = (given - wanted).square().mean() / wanted.square().mean()
        features = decoder.up_blocks[3](decoder.up_blocks[2].upsamplers[0](drawn))
        output = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(features)))
        (matched + weighted_sum(reconstruction_losses(target, output))).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _last_features(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Return the features before the last norm of a decoder."""
    features = vae.decoder.mid_block(vae.decoder.conv_in(vae.post_quant_conv(latents)), None)
    for block in vae.decoder.up_blocks:
        features = block(features)
    return features


@torch.no_grad()
def widened_unet(old: UNet2DConditionModel, latent_channels: int) -> UNet2DConditionModel:
    """Build a UNet that computes what `old` does on the first latent channels, and 0 for the others."""
    new = build_unet(latent_channels, old.config.sample_size)
    weights = {name: weight for name, weight in old.state_dict().items() if not _is_outermost(name)}
    new.load_state_dict(weights, strict=False)
    n = old.config.in_channels
    new.conv_in.weight.zero_()
    new.conv_in.weight[:, :n] = old.conv_in.weight
    new.conv_in.bias.copy_(old.conv_in.bias)
    for mine, theirs in zip(new.conv_out.parameters(), old.conv_out.parameters(), strict=True):
        mine.zero_()
        mine[:n] = theirs
    return new


def _is_outermost(name: str) -> bool:
    return name.startswith(("conv_in.", "conv_out."))
