"""Train the text encoder and the denoising UNet together, from scratch, on latents of the scenes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from daam_syntax.emoji.training.autoencoder import as_input
from daam_syntax.emoji.training.dataset import read_dataset
from daam_syntax.emoji.training.loop import Trainer
from daam_syntax.emoji.training.tokenizer import MAX_TOKENS, learn_tokenizer
from daam_syntax.util.progress import show_progress
from daam_syntax.util.whole_files import whole_file

BATCH: Final = 32
CAPTION_DROP: Final = 0.1  # share of captions replaced by "", for classifier-free guidance
TEXT_WIDTH: Final = 128


def build_unet(latent_channels: int, latent_size: int) -> UNet2DConditionModel:
    """Build the untrained UNet, with cross-attention on grids of 16 x 16 and 8 x 8."""
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=(96, 160, 224),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # the number of attention heads, despite its name
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the untrained text encoder, with three layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_act="gelu",
        )
    )


def build_scheduler() -> DDIMScheduler:
    """Build the noise schedule, which ends in pure noise (Lin et al. 2024, arXiv 2305.08891)."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        clip_sample=False,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
    )


def _sample_timesteps(n_timesteps: int) -> torch.Tensor:
    """Sample timesteps: three quarters from the middle, where shapes are decided (logit-normal), the rest uniformly."""
    middle = torch.sigmoid(torch.randn(BATCH) - 0.4)
    anywhere = torch.rand(BATCH)
    share = torch.where(torch.rand(BATCH) < 0.25, anywhere, middle)
    return (share * n_timesteps).long().clamp(max=n_timesteps - 1)


@torch.no_grad()
def encode_dataset(dataset: Path, vae: AutoencoderKL, path: Path) -> None:
    """Write the latent mean of every scene to `path`, float16, ``(scene, channel, y, x)``."""
    images = read_dataset(dataset).images
    vae = vae.to(torch.bfloat16).to(memory_format=torch.channels_last)
    chunks = []
    with show_progress(True, len(images), label="Encoding", unit="scenes") as bar:
        for start in range(0, len(images), 64):
            batch = images[start : start + 64]
            chunks.append(vae.encode(as_input(batch).bfloat16()).latent_dist.mean.half())
            bar.advance(len(batch))
    with whole_file(path) as partial, partial.open("xb") as file:
        np.save(file, torch.cat(chunks).numpy())


def train(
    dataset: Path,
    autoencoder: Path,
    folder: Path,
    steps: int,
    threads: int,
    start_from: Path | None = None,
) -> None:
    """Train, or resume; write a complete ``StableDiffusionPipeline`` to ``folder/pipeline``.

    Training resumes from the checkpoint in `folder`. Without one, it starts from the weights of the pipeline in the
    folder `start_from`, or from random weights if that is None. A pipeline that training starts or resumes from keeps
    its tokenizer and its autoencoder, regardless of the dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = folder / "pipeline" if (folder / "pipeline").exists() else start_from
    base = (
        None
        if before is None
        else StableDiffusionPipeline.from_pretrained(before, safety_checker=None)
    )
    vae = AutoencoderKL.from_pretrained(autoencoder / "vae") if base is None else base.vae
    latents_path = folder / "latents.npy"
    if not latents_path.exists():
        encode_dataset(dataset, copy.deepcopy(vae).eval(), latents_path)
    latents = torch.from_numpy(np.load(latents_path))
    if base is None:
        vae.register_to_config(scaling_factor=1.0 / float(latents[:4096].float().std()))
    captions = json.loads((dataset / "captions.json").read_text(encoding="utf-8"))
    if len(captions) != len(latents):
        raise ValueError(
            f"Expected the latents of {len(captions)} scenes in {latents_path}, but got {len(latents)}: "
            "they are of another dataset; delete them."
        )

    torch.manual_seed(0)
    tokenizer = learn_tokenizer(captions[:20_000]) if base is None else base.tokenizer
    padded = {
        "padding": "max_length",
        "max_length": MAX_TOKENS,
        "truncation": True,
        "return_tensors": "pt",
    }
    ids = tokenizer(captions, **padded).input_ids
    no_caption = tokenizer([""], **padded).input_ids[0]
    text_encoder = build_text_encoder(tokenizer) if base is None else base.text_encoder.train()
    unet = build_unet(latents.shape[1], latents.shape[2]) if base is None else base.unet.train()
    unet.to(memory_format=torch.channels_last)
    # On CPUs, the backward pass of the explicit processor is a third faster than that of the fused one.
    unet.set_attn_processor(AttnProcessor())
    scheduler = build_scheduler()
    trainer = Trainer(
        {"unet": unet, "text_encoder": text_encoder},
        folder,
        steps=steps,
        learning_rate=8e-4,
        warm_up=200,
        decay_from=0.3,
    )
    torch.manual_seed(trainer.step)
    alphas = scheduler.alphas_cumprod

    def losses() -> dict[str, torch.Tensor]:
        chosen = torch.randint(0, len(latents), (BATCH,))
        clean = latents[chosen].float() * vae.config.scaling_factor
        tokens = torch.where(torch.rand(BATCH, 1) < CAPTION_DROP, no_caption, ids[chosen])
        timesteps = _sample_timesteps(len(alphas))
        noise = torch.randn_like(clean)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        target = scheduler.get_velocity(clean, noise, timesteps)
        hidden = text_encoder(tokens).last_hidden_state
        noisy = noisy.bfloat16().contiguous(memory_format=torch.channels_last)
        output = unet(noisy, timesteps, hidden).sample.float()
        error = (output - target).square().mean(dim=(1, 2, 3))
        # Little can be learned from nearly clean images or from pure noise (min-SNR, Hang et al. 2023,
        # arXiv 2303.09556). But most images of two objects go wrong under strong noise, where that weight
        # is small, so it is at least 0.4.
        snr = alphas[timesteps] / (1 - alphas[timesteps])
        weight = torch.clamp(torch.clamp(snr, max=5.0) / (snr + 1.0), min=0.4)
        return {"loss": (weight * error).mean(), "error": error.mean()}

    def save_pipeline() -> None:
        unet.set_attn_processor(AttnProcessor2_0())
        pipeline = StableDiffusionPipeline(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder / "pipeline")
        unet.set_attn_processor(AttnProcessor())

    trainer.run(losses, threads=threads, on_save=save_pipeline)
