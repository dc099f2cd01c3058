"""Tiny UNet and SD3 pipelines with random weights, of the same classes as the real ones."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

TEXT_LENGTH = 12
PIECES = ["cat</w>", "red</w>", "blue</w>", "owl</w>", "and</w>", "the</w>", "straw", "berry</w>"]


def byte_symbols() -> list[str]:
    """Return the 256 characters that represent bytes in CLIP's BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(256 - len(plain))]


def make_tokenizer(length: int = TEXT_LENGTH) -> CLIPTokenizer:
    """Make a CLIP tokenizer with a few words. "strawberry" is two tokens; other words are split into letters."""
    merges = []
    for piece in PIECES:
        letters = list(piece.removesuffix("</w>"))
        if piece.endswith("</w>"):
            letters[-1] += "</w>"
        start = letters[0]
        for letter in letters[1:]:
            merges.append((start, letter))
            start += letter
    merges = list(dict.fromkeys(merges))
    symbols = byte_symbols()
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols), *("".join(m) for m in merges)]
    tokens = list(dict.fromkeys([*tokens, "<|startoftext|>", "<|endoftext|>"]))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def clip_config(tokenizer: CLIPTokenizer, hidden_size: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=hidden_size,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def make_vae(**options: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=64,
        **options,
    ).eval()


def _sharpen(unet: UNet2DConditionModel) -> None:
    """Make attention differ from uniform, as in trained models."""
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "attn2.to_q" in name or "attn2.to_k" in name:
                weight *= 4


def make_sd(length: int = TEXT_LENGTH, **unet_options: Any) -> StableDiffusionPipeline:
    """Make a Stable Diffusion 1 pipeline with attention at three resolutions and a VAE that halves three times."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(length)
    options: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (16, 16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    unet = UNet2DConditionModel(**options | unet_options).eval()
    _sharpen(unet)
    pipe = StableDiffusionPipeline(
        vae=make_vae(),
        text_encoder=CLIPTextModel(clip_config(tokenizer, 16)).eval(),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_sdxl(in_channels: int = 4) -> StableDiffusionXLPipeline:
    """Make an SDXL pipeline with a scheduler that uses sigmas."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    unet = UNet2DConditionModel(
        in_channels=in_channels,
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
        norm_num_groups=4,
    ).eval()
    _sharpen(unet)
    pipe = StableDiffusionXLPipeline(
        vae=make_vae(),
        text_encoder=CLIPTextModel(clip_config(tokenizer, 16)).eval(),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(tokenizer, 16)).eval(),
        tokenizer=tokenizer,
        tokenizer_2=make_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_sd3() -> StableDiffusion3Pipeline:
    """Make a Stable Diffusion 3 pipeline (joint attention of pixels and text) without T5."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=32,
        pos_embed_max_size=64,
        qk_norm="rms_norm",
        dual_attention_layers=(0,),
    ).eval()
    pipe = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=make_vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(clip_config(tokenizer, 16)).eval(),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip_config(tokenizer, 16)).eval(),
        tokenizer_2=make_tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def as_pipeline(pipe: Any, cls: Any, **more: Any) -> Any:
    """Return a pipeline of another class with the same components."""
    known = inspect.signature(cls.__init__).parameters
    quiet = {"requires_safety_checker": False, "add_watermarker": False}
    parts = {name: part for name, part in (pipe.components | quiet).items() if name in known}
    result = cls(**parts | more)
    result.set_progress_bar_config(disable=True)
    return result
