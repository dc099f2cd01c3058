"""The untrained parts of the embedded model, and its tokenizer, which is learned from the captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from daam_syntax.emoji.scenes import IMAGE_SIZE

LATENT_CHANNELS: Final = 16
TEXT_WIDTH: Final = 128
MAX_TOKENS: Final = 32
"""Length of the input of the text encoder, including the start and end tokens."""

_MERGES: Final = 268
_END: Final = "</w>"
# How CLIP splits text before merging: runs of letters, single digits, runs of anything else.
_CLIP_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def build_autoencoder() -> AutoencoderKL:
    """Build the untrained autoencoder."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        mid_block_add_attention=False,
    )


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


def learn_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Learn a byte-pair tokenizer of CLIP's class, which keeps frequent words whole and splits rarer ones.

    Every byte is in the vocabulary, both inside a word and at its end, so any text can be tokenized.
    """
    specials = ["<|startoftext|>", "<|endoftext|>"]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_END, continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=len(symbols) + 32 + _MERGES,
        initial_alphabet=symbols,
        end_of_word_suffix=_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    merges: Any = [tuple(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]][:_MERGES]
    pieces = symbols + [s + _END for s in symbols] + ["".join(merge) for merge in merges]
    vocabulary = {piece: i for i, piece in enumerate([*dict.fromkeys(pieces), *specials])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
