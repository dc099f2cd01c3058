"""Train the text encoder and the denoising UNet together, on latents of the scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTokenizer

from daam_syntax.emoji.training.architectures import (
    LATENT_CHANNELS,
    MAX_TOKENS,
    build_scheduler,
    build_text_encoder,
    build_unet,
    learn_tokenizer,
)
from daam_syntax.emoji.training.dataset import complete_shards, read_array, read_captions
from daam_syntax.emoji.training.devices import IMAGE_FORMAT
from daam_syntax.emoji.training.latents import SHAPE_CHANNELS
from daam_syntax.emoji.training.loop import Session, Trainer
from daam_syntax.emoji.training.widening import widened_unet
from daam_syntax.errors import FileError

CAPTION_DROP: Final = 0.1  # share of captions replaced by "", for classifier-free guidance
DETAIL_WEIGHT: Final = 0.6  # the ten channels of detail together weigh as much as the six of shape


class CaptionedLatents:
    """Latents and token indices in the memory of a device, from which batches are drawn.

    Parameters
    ----------
    folder
        Folder of the latents; see `latents.write_latents`.
    tokenizer
        The tokenizer of the captions.
    device
        Where the scenes are kept.
    capacity
        Number of scenes to have room for, so that more can be added by `add_new`; None for those that are there.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: CLIPTokenizer,
        device: torch.device,
        capacity: int | None = None,
    ) -> None:
        seeds = complete_shards(folder)
        if not seeds:
            raise FileError(
                f"Expected latents in {folder}, but there are none. "
                "Encode the scenes first: python -m daam_syntax.emoji.training latents."
            )
        self._folder, self._tokenizer = folder, tokenizer
        first = read_array(folder / f"{seeds[0]}.npy")
        room = capacity or len(first) * len(seeds)
        # A step that is replayed as a CUDA graph reads the same memory every time, so scenes are added in place.
        self._latents = torch.zeros(room, *first.shape[1:], dtype=first.dtype, device=device)
        self._tokens = torch.zeros(room, MAX_TOKENS, dtype=torch.int64, device=device)
        self._n_scenes = torch.zeros((), dtype=torch.int64, device=device)
        self._read: set[int] = set()
        self.add_new()
        self._no_caption = self._tokenize([""]).to(device)

    def __len__(self) -> int:
        """Return the number of scenes."""
        return int(self._n_scenes)

    def add_new(self) -> None:
        """Read the shards that were encoded since the last call, as long as there is room for them."""
        n = len(self)
        for seed in complete_shards(self._folder):
            if seed in self._read:
                continue
            latents = read_array(self._folder / f"{seed}.npy", self._latents.device)
            end = n + len(latents)
            if end > len(self._latents):
                break
            self._latents[n:end] = latents
            self._tokens[n:end] = self._tokenize(read_captions(self._folder / f"{seed}.json")).to(
                self._tokens.device
            )
            self._read.add(seed)
            n = end
        self._n_scenes.fill_(n)

    def _tokenize(self, captions: list[str]) -> torch.Tensor:
        # The tokenizer itself uses all processors; the class around it takes ten times as long.
        tokenizer = self._tokenizer.backend_tokenizer
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding(length=MAX_TOKENS, pad_id=self._tokenizer.pad_token_id)
        return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(captions)])

    def draw(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw `n` scenes at random; some captions are replaced by "".

        Returns
        -------
        latents, tokens
            *Shapes:* ``(scene, channel, y, x)``, float32; ``(scene, token)``, int64.
        """
        device = self._latents.device
        share = torch.rand(n, device=device)
        chosen = (share * self._n_scenes).long().clamp(max=self._n_scenes - 1)
        without = torch.rand(n, 1, device=device) < CAPTION_DROP
        tokens = torch.where(without, self._no_caption, self._tokens[chosen])
        return self._latents[chosen].float(), tokens


def sample_timesteps(n: int, n_timesteps: int, device: torch.device) -> torch.Tensor:
    """Draw `n` timesteps: two fifths mostly in the middle (logit-normal), two fifths anywhere, a fifth late.

    Shapes are decided in the middle. But which object stands where is decided under the strongest noise, in the
    first two or three of twenty steps.
    """
    middle = torch.sigmoid(torch.randn(n, device=device) - 0.4)
    anywhere, late, kind = torch.rand(3, n, device=device)
    share = torch.where(kind < 0.4, middle, torch.where(kind < 0.8, anywhere, 1 - 0.3 * late))
    return (share * n_timesteps).long().clamp(max=n_timesteps - 1)


def channel_weights(latent_channels: int) -> torch.Tensor:
    """Return the weights of the errors of the latent channels; their mean is 1."""
    weights = torch.ones(latent_channels)
    weights[SHAPE_CHANNELS:] = DETAIL_WEIGHT
    return weights / weights.mean()


class DenoisingLoss:
    """The loss of the denoiser for random timesteps and noise.

    Parameters
    ----------
    unet, text_encoder
        The modules that are trained.
    data
        Draws the batches.
    scaling_factor
        Factor on the latents.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module,
        data: CaptionedLatents,
        scaling_factor: float,
    ) -> None:
        self._unet, self._text_encoder, self._data = unet, text_encoder, data
        self._scaling_factor = scaling_factor
        device = next(unet.parameters()).device
        self._alphas = build_scheduler().alphas_cumprod.to(device)
        self._weights = channel_weights(LATENT_CHANNELS).to(device)

    def __call__(self, n: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Compute the losses of a batch of `n` scenes; the modules compute in `dtype`."""
        clean, tokens = self._data.draw(n)
        clean = clean * self._scaling_factor
        timesteps = sample_timesteps(n, len(self._alphas), clean.device)
        alphas = self._alphas[timesteps]
        signal, disturbance = alphas.sqrt().view(-1, 1, 1, 1), (1 - alphas).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn_like(clean)
        noisy = (signal * clean + disturbance * noise).to(dtype)
        velocity = signal * noise - disturbance * clean
        hidden = self._text_encoder(tokens).last_hidden_state
        noisy = noisy.contiguous(memory_format=IMAGE_FORMAT)
        output = self._unet(noisy, timesteps, hidden).sample.float()
        by_channel = (output - velocity).square().mean(dim=(2, 3))
        error = (self._weights * by_channel).mean(dim=1)
        # Little can be learned from nearly clean images or from pure noise (min-SNR, Hang et al. 2023,
        # arXiv 2303.09556). But most images of two objects go wrong under strong noise, where that weight
        # is small, so it is at least 0.4.
        snr = alphas / (1 - alphas)
        weight = torch.clamp(torch.clamp(snr, max=5.0) / (snr + 1.0), min=0.4)
        return {
            "loss": (weight * error).mean(),
            "error": error.mean(),
            "shapes": by_channel[:, :SHAPE_CHANNELS].mean(),
            "detail": by_channel[:, SHAPE_CHANNELS:].mean(),
        }


def train(
    latents: Path,
    folder: Path,
    session: Session,
    start_from: Path | None = None,
    *,
    learning_rate: float | None = None,
    capacity: int | None = None,
) -> None:
    """Train the text encoder and the UNet, or resume; write a ``StableDiffusionPipeline`` to ``folder/pipeline``.

    Parameters
    ----------
    latents, folder
        Folders of the latents (see `latents.write_latents`) and of the results.
    session
        How long and where to train.
    start_from
        Folder of a pipeline to start from, whose tokenizer is kept; if its latents have fewer channels, its UNet is
        widened. None for random weights.
    learning_rate
        Peak learning rate; None for that of a whole training, 5e-4 for batches of 32. To train finished weights
        further, a third of it or less.
    capacity
        Number of scenes to have room for: those that are encoded while this trains are added until then. None to train
        with those that are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(latents / "vae")
    torch.manual_seed(0)
    before = folder / "pipeline" if (folder / "pipeline").exists() else start_from
    parts = _initial_parts(before, latents)
    data = CaptionedLatents(latents, parts["tokenizer"], session.device, capacity)
    unet, text_encoder = parts["unet"], parts["text_encoder"]
    unet.float().train().to(session.device, memory_format=IMAGE_FORMAT)
    text_encoder.float().train()
    if session.device.type == "cpu":
        # On CPUs, the backward pass of the explicit processor is a third faster than that of the fused one.
        unet.set_attn_processor(AttnProcessor())
    trainer = Trainer(
        {"unet": unet, "text_encoder": text_encoder},
        folder,
        session,
        learning_rate=learning_rate or 5e-4 * (session.batch / 32) ** 0.333,
        warm_up=300,
        decay_from=0.4,
    )
    torch.manual_seed(trainer.step)
    loss = DenoisingLoss(unet, text_encoder, data, float(vae.config.scaling_factor))

    def save(averaged: dict[str, nn.Module]) -> None:
        pipeline = StableDiffusionPipeline(
            vae=vae,
            tokenizer=parts["tokenizer"],
            scheduler=build_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **averaged,
        )
        pipeline.save_pretrained(folder / "pipeline")

    trainer.run(
        lambda: loss(session.batch, trainer.dtype),
        on_log=None if capacity is None else data.add_new,
        on_save=save,
    )


def _initial_parts(start_from: Path | None, latents: Path) -> dict[str, Any]:
    """Return the tokenizer, text encoder, and UNet to start from; untrained ones if `start_from` is None."""
    if start_from is None:
        captions: list[str] = []
        for seed in complete_shards(latents)[:40]:
            captions += read_captions(latents / f"{seed}.json")
        tokenizer = learn_tokenizer(captions)
        text_encoder = build_text_encoder(tokenizer)
        return {
            "tokenizer": tokenizer,
            "text_encoder": text_encoder,
            "unet": build_unet(LATENT_CHANNELS, 16),
        }
    base = StableDiffusionPipeline.from_pretrained(start_from, safety_checker=None)
    unet = base.unet
    if unet.config.in_channels != LATENT_CHANNELS:
        unet = widened_unet(unet, LATENT_CHANNELS)
    return {"tokenizer": base.tokenizer, "text_encoder": base.text_encoder, "unet": unet}
