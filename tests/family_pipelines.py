"""Tiny pipelines with random weights, one for each family of models, of the same classes as the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from pipelines import clip_config, make_tokenizer, make_vae
from tiny_tokenizers import (
    make_gemma_tokenizer,
    make_qwen_tokenizer,
    make_t5_tokenizer,
)
from torch import nn

FLOW = diffusers.FlowMatchEulerDiscreteScheduler
VAE_OPTIONS = {"shift_factor": 0.1, "use_quant_conv": False, "use_post_quant_conv": False}
DECODER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def _ready(pipe: Any, denoiser: nn.Module) -> Any:
    """Sharpen attention, which in a random model is all but uniform, and silence the bars."""
    with torch.no_grad():
        for name, weight in denoiser.named_parameters():
            if name.endswith(
                ("norm_q.weight", "norm_k.weight", "norm_added_q.weight", "norm_added_k.weight")
            ):
                weight *= 1.5
            elif "to_q" in name or "to_k" in name or "add_k_proj" in name:
                weight *= 2
            elif not weight.any():  # some projections start at zero, so that nothing would be drawn
                nn.init.normal_(weight, std=0.1)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _t5(tokenizer: Any, width: int, cls: Any = None) -> Any:
    cls = cls or transformers.T5EncoderModel
    return cls(
        cls.config_class(
            vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=16, num_layers=2, num_heads=2
        )
    ).eval()


def make_sd3_with_t5() -> Any:
    clip, t5 = make_tokenizer(), make_t5_tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=32,
        pos_embed_max_size=64,
        qk_norm="rms_norm",
        dual_attention_layers=(0,),
    ).eval()
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FLOW(),
        vae=make_vae(**VAE_OPTIONS),
        text_encoder=transformers.CLIPTextModelWithProjection(clip_config(clip, 16)).eval(),
        tokenizer=clip,
        text_encoder_2=transformers.CLIPTextModelWithProjection(clip_config(clip, 16)).eval(),
        tokenizer_2=make_tokenizer(),
        text_encoder_3=_t5(t5, 32),
        tokenizer_3=t5,
    )
    return _ready(pipe, transformer)


def make_flux() -> Any:
    clip, t5 = make_tokenizer(), make_t5_tokenizer()
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=[4, 4, 8],
    ).eval()
    pipe = diffusers.FluxPipeline(
        scheduler=FLOW(),
        vae=make_vae(**VAE_OPTIONS),
        text_encoder=transformers.CLIPTextModel(clip_config(clip, 16)).eval(),
        tokenizer=clip,
        text_encoder_2=_t5(t5, 32),
        tokenizer_2=t5,
        transformer=transformer,
    )
    return _ready(pipe, transformer)


def make_chroma() -> Any:
    t5 = make_t5_tokenizer()
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=[4, 4, 8],
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    ).eval()
    pipe = diffusers.ChromaPipeline(
        scheduler=FLOW(),
        vae=make_vae(**VAE_OPTIONS),
        text_encoder=_t5(t5, 32),
        tokenizer=t5,
        transformer=transformer,
    )
    return _ready(pipe, transformer)


def make_pixart(cls: Any = diffusers.PixArtSigmaPipeline) -> Any:
    t5 = make_t5_tokenizer()
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=32,
        num_layers=2,
        patch_size=2,
        attention_head_dim=4,
        num_attention_heads=3,
        caption_channels=16,
        in_channels=4,
        cross_attention_dim=12,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=8,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
    ).eval()
    pipe = cls(
        tokenizer=t5,
        text_encoder=_t5(t5, 16),
        vae=make_vae(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(),
    )
    return _ready(pipe, transformer)


def make_pixart_alpha() -> Any:
    return make_pixart(diffusers.PixArtAlphaPipeline)


def _gemma(tokenizer: Any) -> Any:
    return transformers.Gemma2Model(
        transformers.Gemma2Config(vocab_size=len(tokenizer), **DECODER)
    ).eval()


def make_sana() -> Any:
    tokenizer = make_gemma_tokenizer()
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=16,
        sample_size=32,
    ).eval()
    vae = diffusers.AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock",) * 4,
        decoder_block_types=("ResBlock",) * 4,
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        encoder_qkv_multiscales=((),) * 4,
        decoder_qkv_multiscales=((),) * 4,
        encoder_layers_per_block=(1,) * 4,
        decoder_layers_per_block=(1,) * 4,
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    ).eval()
    pipe = diffusers.SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=_gemma(tokenizer),
        vae=vae,
        transformer=transformer,
        scheduler=FLOW(),
    )
    return _ready(pipe, transformer)


def make_qwen_image() -> Any:
    tokenizer = make_qwen_tokenizer()
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=3,
        joint_attention_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
    ).eval()
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
    )
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()
    pipe = diffusers.QwenImagePipeline(
        scheduler=FLOW(),
        vae=vae,
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=tokenizer,
        transformer=transformer,
    )
    # The real tokenizer makes 34 tokens of the template before the prompt.
    before, _ = pipe.prompt_template_encode.split("{}")
    pipe.prompt_template_encode_start_idx = len(tokenizer(before)["input_ids"])
    return _ready(pipe, transformer)


MAKERS: dict[str, Callable[[], Any]] = {
    "PixArt-alpha": make_pixart_alpha,
    "PixArt-sigma": make_pixart,
    "Sana": make_sana,
    "SD3": make_sd3_with_t5,
    "Flux": make_flux,
    "Chroma": make_chroma,
    "Qwen-Image": make_qwen_image,
}


def make(name: str) -> Any:
    """Make the pipeline of a family, the same each time."""
    torch.manual_seed(0)
    return MAKERS[name]()
