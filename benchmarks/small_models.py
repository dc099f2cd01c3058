"""Pipelines with random weights whose denoiser has the shape of a real one and whose other parts are tiny.

The cost of tracing depends on shapes and not on weights, and no trace touches the text encoders or the VAE.
"""

from __future__ import annotations

import string
from typing import Any

import torch


def stable_diffusion_pipeline() -> Any:
    """Build a pipeline with the UNet of Stable Diffusion 1.5 and the embedded model's tokenizer."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = _clip_tokenizer(77)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=768,
        num_hidden_layers=1,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
    )
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stable_diffusion_3_pipeline(n_blocks: int, text_length: int = 12) -> Any:
    """Build a pipeline with a Stable Diffusion 3 transformer of half the real width.

    Parameters
    ----------
    n_blocks
        Number of transformer blocks.
    text_length
        Tokens of the two CLIP encoders; T5's number is ``max_sequence_length`` of the pipeline call.
    """
    import diffusers
    import transformers

    torch.manual_seed(0)
    clip, t5 = _clip_tokenizer(text_length), _t5_tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=64,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=n_blocks,
        attention_head_dim=64,
        num_attention_heads=12,
        joint_attention_dim=32,
        caption_projection_dim=768,
        pooled_projection_dim=32,
        pos_embed_max_size=96,
    )
    t5_config = transformers.T5Config(
        vocab_size=len(t5), d_model=32, d_kv=8, d_ff=16, num_layers=2, num_heads=2
    )
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_tiny_vae(),
        text_encoder=_clip_encoder(clip),
        tokenizer=clip,
        text_encoder_2=_clip_encoder(clip),
        tokenizer_2=clip,
        text_encoder_3=transformers.T5EncoderModel(t5_config).eval(),
        tokenizer_3=t5,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def flux_pipeline() -> Any:
    """Build a Flux pipeline with two blocks of each kind, of a quarter of the real width."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    clip, t5 = _clip_tokenizer(77), _t5_tokenizer()
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=64,
        num_attention_heads=12,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=[8, 28, 28],
    )
    t5_config = transformers.T5Config(
        vocab_size=len(t5), d_model=32, d_kv=8, d_ff=16, num_layers=2, num_heads=2
    )
    clip_config = transformers.CLIPTextConfig(
        vocab_size=len(clip),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=clip.bos_token_id,
        eos_token_id=clip.eos_token_id,
        pad_token_id=clip.pad_token_id,
    )
    pipe = diffusers.FluxPipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_tiny_vae(),
        text_encoder=transformers.CLIPTextModel(clip_config).eval(),
        tokenizer=clip,
        text_encoder_2=transformers.T5EncoderModel(t5_config).eval(),
        tokenizer_2=t5,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _tiny_vae() -> Any:
    import diffusers

    return diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        shift_factor=0.1,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def _clip_tokenizer(length: int) -> Any:
    """Return the embedded model's tokenizer with another maximum length."""
    from daam_syntax import load_pipeline

    tokenizer = load_pipeline("emoji").tokenizer
    tokenizer.model_max_length = length
    return tokenizer


def _clip_encoder(tokenizer: Any) -> Any:
    """Build a CLIP text encoder of width 16."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config).eval()


def _t5_tokenizer() -> Any:
    """Build a T5 tokenizer that spells words letter by letter."""
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(letter, -5.0) for letter in string.ascii_lowercase]
    return T5Tokenizer(
        vocab=pieces, extra_ids=0, additional_special_tokens=[], model_max_length=512
    )
