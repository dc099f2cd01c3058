"""Tiny pipelines that generate the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
import transformers

from helpers.family_pipelines import FLOW, assembled, make_t5
from helpers.tiny_tokenizers import make_t5_tokenizer


def make_wan() -> Any:
    tokenizer = make_t5_tokenizer()
    vae = diffusers.AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    return assembled(
        diffusers.WanPipeline,
        tokenizer=tokenizer,
        text_encoder=make_t5(tokenizer, 32, transformers.UMT5EncoderModel),
        vae=vae,
        scheduler=FLOW(shift=3.0),
        transformer=diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=2,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ),
    )


def make_cog_video_x(joined: int | None = None) -> Any:
    tokenizer = make_t5_tokenizer()
    vae = diffusers.AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    return assembled(
        diffusers.CogVideoXPipeline,
        tokenizer=tokenizer,
        text_encoder=make_t5(tokenizer, 32),
        vae=vae,
        transformer=diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=32,
            num_layers=2,
            sample_width=16,
            sample_height=16,
            sample_frames=9,
            patch_size=2,
            patch_size_t=joined,
            temporal_compression_ratio=4,
            max_text_seq_length=24,
            use_rotary_positional_embeddings=True,
        ),
        scheduler=diffusers.CogVideoXDDIMScheduler(),
    )


@dataclass(frozen=True)
class Video:
    """How a pipeline of videos is tested.

    `drawn` has the drawn frames that each latent frame becomes, by the number of requested frames, as counted in the
    videos that the pipeline returned. `guidance` is as in `helpers.family_cases.Case.calls`.
    """

    name: str
    pipeline: str
    tokenizers: str
    keys: str
    guidance: str
    modules: str
    drawn: Mapping[int, list[range]]
    frames: str


VIDEOS = [
    Video(
        "Wan",
        "WanPipeline, WanVideoToVideoPipeline (Wan 2.1, and models of Wan 2.2 with one transformer)",
        "T5 (UMT5)",
        "cross-attention",
        "first call",
        r".*\.attn2",
        {1: [range(1)], 9: [range(1), range(1, 5), range(5, 9)]},
        "1 frame, then 4 for each latent frame",
    ),
    Video(
        "CogVideoX",
        "CogVideoXPipeline, CogVideoXVideoToVideoPipeline (not CogVideoX 1.5)",
        "T5",
        "joint: text, pixels",
        "second half",
        r".*\.attn1",
        {9: [range(1), range(1, 5), range(5, 9)], 5: [range(4), range(4, 8)]},
        "1 frame, then 4 for each latent frame; 4 for each if the number of latent frames is even",
    ),
]


MAKERS: dict[str, Callable[[], Any]] = {
    "Wan": make_wan,
    "CogVideoX": make_cog_video_x,
    "CogVideoX 1.5": lambda: make_cog_video_x(joined=2),
}


def make_video_pipeline(name: str) -> Any:
    """Make a pipeline, with the same weights each time."""
    torch.manual_seed(0)
    return MAKERS[name]()
