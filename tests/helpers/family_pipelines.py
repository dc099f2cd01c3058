"""Tiny pipelines with random weights, one per family of models, of the same classes as the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from helpers.tiny_pipelines import clip_config, make_tokenizer, make_vae
from helpers.tiny_tokenizers import (
    make_bert_tokenizer,
    make_gemma_tokenizer,
    make_glm_tokenizer,
    make_qwen_tokenizer,
    make_t5_tokenizer,
)

FLOW = diffusers.FlowMatchEulerDiscreteScheduler
DECODER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def assembled(cls: Any, **parts: Any) -> Any:
    """Assemble a pipeline, and sharpen its attention, which is almost uniform in a random model."""
    pipe = cls(**parts)
    for part in parts.values():
        if isinstance(part, nn.Module):
            part.eval()
    with torch.no_grad():
        for name, weight in (parts.get("transformer") or parts["unet"]).named_parameters():
            if name.endswith(
                ("norm_q.weight", "norm_k.weight", "norm_added_q.weight", "norm_added_k.weight")
            ):
                weight *= 1.5
            elif "to_q" in name or "to_k" in name or "add_k_proj" in name:
                weight *= 2
            elif not weight.any():  # some projections start at zero, which would disable the model
                nn.init.normal_(weight, std=0.1)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _flow_matching() -> dict[str, Any]:
    """Return the scheduler and the autoencoder of most newer families."""
    vae = make_vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False)
    return {"scheduler": FLOW(), "vae": vae}


def make_t5(tokenizer: Any, width: int, cls: Any = None) -> Any:
    """Make a text encoder of T5, or of a class like it, whose embeddings have a width."""
    cls = cls or transformers.T5EncoderModel
    return cls(
        cls.config_class(
            vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=16, num_layers=2, num_heads=2
        )
    )


def make_sd3_with_t5() -> Any:
    clip, t5 = make_tokenizer(), make_t5_tokenizer()
    return assembled(
        diffusers.StableDiffusion3Pipeline,
        transformer=diffusers.SD3Transformer2DModel(
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
        ),
        **_flow_matching(),
        text_encoder=transformers.CLIPTextModelWithProjection(clip_config(clip, 16)),
        tokenizer=clip,
        text_encoder_2=transformers.CLIPTextModelWithProjection(clip_config(clip, 16)),
        tokenizer_2=make_tokenizer(),
        text_encoder_3=make_t5(t5, 32),
        tokenizer_3=t5,
    )


def make_flux() -> Any:
    clip, t5 = make_tokenizer(), make_t5_tokenizer()
    return assembled(
        diffusers.FluxPipeline,
        **_flow_matching(),
        text_encoder=transformers.CLIPTextModel(clip_config(clip, 16)),
        tokenizer=clip,
        text_encoder_2=make_t5(t5, 32),
        tokenizer_2=t5,
        transformer=diffusers.FluxTransformer2DModel(
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
        ),
    )


def make_chroma() -> Any:
    t5 = make_t5_tokenizer()
    return assembled(
        diffusers.ChromaPipeline,
        **_flow_matching(),
        text_encoder=make_t5(t5, 32),
        tokenizer=t5,
        transformer=diffusers.ChromaTransformer2DModel(
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
        ),
    )


def make_pixart(cls: Any = diffusers.PixArtSigmaPipeline) -> Any:
    t5 = make_t5_tokenizer()
    return assembled(
        cls,
        tokenizer=t5,
        text_encoder=make_t5(t5, 16),
        vae=make_vae(),
        transformer=diffusers.PixArtTransformer2DModel(
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
        ),
        scheduler=diffusers.DDIMScheduler(),
    )


def make_pixart_alpha() -> Any:
    return make_pixart(diffusers.PixArtAlphaPipeline)


def _gemma(tokenizer: Any) -> Any:
    return transformers.Gemma2Model(transformers.Gemma2Config(vocab_size=len(tokenizer), **DECODER))


def make_sana() -> Any:
    tokenizer = make_gemma_tokenizer()
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
    )
    return assembled(
        diffusers.SanaPipeline,
        tokenizer=tokenizer,
        text_encoder=_gemma(tokenizer),
        vae=vae,
        transformer=diffusers.SanaTransformer2DModel(
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
        ),
        scheduler=FLOW(),
    )


def make_qwen_image() -> Any:
    tokenizer = make_qwen_tokenizer()
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            **DECODER,
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
    )
    pipe = assembled(
        diffusers.QwenImagePipeline,
        scheduler=FLOW(),
        vae=vae,
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        transformer=diffusers.QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=3,
            joint_attention_dim=16,
            guidance_embeds=False,
            axes_dims_rope=(8, 4, 4),
        ),
    )
    # With the real tokenizer the template before the prompt has 34 tokens.
    before, _ = pipe.prompt_template_encode.split("{}")
    pipe.prompt_template_encode_start_idx = len(tokenizer(before)["input_ids"])
    return pipe


def make_hunyuan_dit() -> Any:
    bert, t5 = make_bert_tokenizer(), make_t5_tokenizer()
    config = transformers.BertConfig(
        vocab_size=len(bert),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    return assembled(
        diffusers.HunyuanDiTPipeline,
        vae=make_vae(),
        text_encoder=transformers.BertModel(config),
        tokenizer=bert,
        transformer=diffusers.HunyuanDiT2DModel(
            sample_size=16,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            in_channels=4,
            cross_attention_dim=16,
            cross_attention_dim_t5=16,
            pooled_projection_dim=4,
            hidden_size=24,
            activation_fn="gelu-approximate",
            text_len=77,
            text_len_t5=256,
        ),
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        text_encoder_2=make_t5(t5, 16),
        tokenizer_2=t5,
    )


def make_aura_flow() -> Any:
    tokenizer = make_t5_tokenizer()
    return assembled(
        diffusers.AuraFlowPipeline,
        tokenizer=tokenizer,
        text_encoder=make_t5(tokenizer, 32, transformers.UMT5EncoderModel),
        vae=make_vae(),
        transformer=diffusers.AuraFlowTransformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            out_channels=4,
            pos_embed_max_size=256,
        ),
        scheduler=FLOW(),
    )


def _qwen3(tokenizer: Any, cls: Any, layers: int = 2) -> Any:
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), **DECODER | {"num_hidden_layers": layers}
    )
    return cls(config)


def make_flux_2(cls: Any = diffusers.Flux2Pipeline, layers: int = 31) -> Any:
    """Make a Flux 2 pipeline: [dev], with Qwen's tokenizer and text model instead of Mistral's, or [klein]."""
    tokenizer = make_qwen_tokenizer()
    return assembled(
        cls,
        scheduler=FLOW(),
        vae=diffusers.AutoencoderKLFlux2(
            block_out_channels=(4, 4, 4, 4),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=2,
            sample_size=64,
        ),
        text_encoder=_qwen3(tokenizer, transformers.Qwen3ForCausalLM, layers),
        tokenizer=tokenizer,
        transformer=diffusers.Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=256,
            axes_dims_rope=[4, 4, 4, 4],
        ),
    )


def make_flux_2_klein() -> Any:
    return make_flux_2(diffusers.Flux2KleinPipeline, layers=28)


def make_z_image() -> Any:
    tokenizer = make_qwen_tokenizer()
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        norm_eps=1e-5,
        qk_norm=True,
        cap_feat_dim=16,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    nn.init.normal_(transformer.x_pad_token)
    nn.init.normal_(transformer.cap_pad_token)
    return assembled(
        diffusers.ZImagePipeline,
        **_flow_matching(),
        text_encoder=_qwen3(tokenizer, transformers.Qwen3Model),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def make_lumina_2() -> Any:
    tokenizer = make_gemma_tokenizer()
    return assembled(
        diffusers.Lumina2Pipeline,
        transformer=diffusers.Lumina2Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=2,
            norm_eps=1e-5,
            scaling_factor=1.0,
            axes_dim_rope=(4, 2, 2),
            axes_lens=(512, 512, 512),
            cap_feat_dim=16,
        ),
        **_flow_matching(),
        text_encoder=_gemma(tokenizer),
        tokenizer=tokenizer,
    )


def make_cogview_4() -> Any:
    tokenizer = make_glm_tokenizer()
    config = transformers.GlmConfig(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **DECODER
    )
    return assembled(
        diffusers.CogView4Pipeline,
        tokenizer=tokenizer,
        text_encoder=transformers.GlmModel(config),
        vae=make_vae(),
        transformer=diffusers.CogView4Transformer2DModel(
            patch_size=2,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            out_channels=4,
            text_embed_dim=16,
            time_embed_dim=8,
            condition_dim=4,
        ),
        scheduler=FLOW(base_shift=0.25, max_shift=0.75, use_dynamic_shifting=True),
    )


def make_prx() -> Any:
    tokenizer = make_gemma_tokenizer()
    tokenizer.model_max_length = 24
    module = {"vocab_size": len(tokenizer), **DECODER}
    config = transformers.T5GemmaConfig(
        encoder=transformers.T5GemmaModuleConfig(**module),
        decoder=transformers.T5GemmaModuleConfig(**module),
        is_encoder_decoder=False,
        vocab_size=len(tokenizer),
    )
    return assembled(
        diffusers.PRXPipeline,
        transformer=diffusers.PRXTransformer2DModel(
            patch_size=2,
            in_channels=4,
            context_in_dim=16,
            hidden_size=32,
            mlp_ratio=2.0,
            num_heads=2,
            depth=2,
            axes_dim=[8, 8],
            theta=10000,
        ),
        **_flow_matching(),
        text_encoder=transformers.T5GemmaEncoderModel(config).encoder,
        tokenizer=tokenizer,
    )


def make_if() -> Any:
    tokenizer = make_t5_tokenizer()
    return assembled(
        diffusers.IFPipeline,
        tokenizer=tokenizer,
        text_encoder=make_t5(tokenizer, 16),
        unet=diffusers.UNet2DConditionModel(
            sample_size=32,
            in_channels=3,
            out_channels=6,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            cross_attention_dim=16,
            encoder_hid_dim=16,
            attention_head_dim=8,
            norm_num_groups=8,
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            act_fn="gelu",
            resnet_time_scale_shift="scale_shift",
        ),
        scheduler=diffusers.DDPMScheduler(variance_type="learned_range"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def make_lumina_next() -> Any:
    tokenizer = make_gemma_tokenizer()
    return assembled(
        diffusers.LuminaPipeline,
        transformer=diffusers.LuminaNextDiT2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            hidden_size=24,
            num_layers=2,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=2,
            cross_attention_dim=16,
        ),
        scheduler=FLOW(),
        vae=make_vae(),
        text_encoder=_gemma(tokenizer),
        tokenizer=tokenizer,
    )


def make_kandinsky_3() -> Any:
    tokenizer = make_t5_tokenizer()
    return assembled(
        diffusers.Kandinsky3Pipeline,
        tokenizer=tokenizer,
        text_encoder=make_t5(tokenizer, 16),
        unet=diffusers.Kandinsky3UNet(
            in_channels=4,
            time_embedding_dim=8,
            groups=2,
            attention_head_dim=4,
            layers_per_block=2,
            block_out_channels=(16, 32),
            cross_attention_dim=16,
            encoder_hid_dim=16,
        ),
        scheduler=diffusers.DDPMScheduler(),
        movq=diffusers.VQModel(
            block_out_channels=(32, 32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            num_vq_embeddings=8,
            norm_type="spatial",
            vq_embed_dim=4,
        ),
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "PixArt-alpha": make_pixart_alpha,
    "PixArt-sigma": make_pixart,
    "Sana": make_sana,
    "HunyuanDiT": make_hunyuan_dit,
    "PRX": make_prx,
    "SD3": make_sd3_with_t5,
    "AuraFlow": make_aura_flow,
    "Flux": make_flux,
    "Chroma": make_chroma,
    "Flux 2": make_flux_2,
    "Flux 2 klein": make_flux_2_klein,
    "Qwen-Image": make_qwen_image,
    "CogView4": make_cogview_4,
    "Lumina 2": make_lumina_2,
    "Z-Image": make_z_image,
    "Lumina-Next": make_lumina_next,
    "DeepFloyd IF": make_if,
    "Kandinsky 3": make_kandinsky_3,
}


def make(name: str) -> Any:
    """Make the pipeline of a family, with the same weights each time."""
    torch.manual_seed(0)
    return MAKERS[name]()
