"""A tiny Kolors pipeline.

Its tokenizer needs sentencepiece, which is not installed for tests: `Pieces` takes its place, with the same tokens
around a text, padding on the left, and no offsets.
"""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from diffusers.pipelines.kolors import tokenizer as chatglm
from diffusers.pipelines.kolors.pipeline_kolors import KolorsPipeline
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

from helpers.tiny_pipelines import make_vae
from helpers.tiny_tokenizers import ENDING, LETTERS, WORDS

SPECIAL = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")


class Pieces:
    """Divides text into whole words, or else letters, as a model of sentencepiece does."""

    def __init__(self, path: str) -> None:
        spaced = [f"▁{piece}" for piece in (*WORDS, *LETTERS)]
        self._pieces = ["<unk>", "<s>", "</s>", *spaced, ENDING, *LETTERS]
        self._any = re.compile("|".join(map(re.escape, sorted(self._pieces, key=len)[::-1])))
        self.pad_id, self.bos_id, self.eos_id = range(3)
        n = len(self._pieces)
        self.special_tokens = {token: n + place for place, token in enumerate(SPECIAL)}
        self.n_words = n + len(SPECIAL)

    def tokenize(self, text: str, encode_special_tokens: bool = False) -> list[str]:
        return self._any.findall("▁" + text.replace(" ", "▁"))

    def convert_token_to_id(self, token: str) -> int:
        return self.special_tokens.get(token) or self._pieces.index(token)

    def convert_id_to_token(self, index: int) -> str:
        if index < 3:
            return ""
        n = len(self._pieces)
        return self._pieces[index] if index < n else SPECIAL[index - n]

    def decode_tokens(self, tokens: list[str]) -> str:
        return "".join(tokens).replace("▁", " ").removeprefix(" ")


def make_kolors() -> Any:
    torch.manual_seed(0)
    with mock.patch.object(chatglm, "SPTokenizer", Pieces):
        tokenizer = chatglm.ChatGLMTokenizer("")
    config = ChatGLMConfig(
        num_layers=3,
        padded_vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        ffn_hidden_size=64,
        kv_channels=8,
        num_attention_heads=4,
        seq_length=256,
        original_rope=True,
        use_cache=False,
    )
    encoder = ChatGLMModel(config, empty_init=False).eval()
    for name, parameter in encoder.named_parameters():
        if "norm" in name:
            torch.nn.init.ones_(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.1)
    unet = UNet2DConditionModel(
        in_channels=4,
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        norm_num_groups=4,
        encoder_hid_dim=32,
        encoder_hid_dim_type="text_proj",
    ).eval()
    pipe = KolorsPipeline(
        vae=make_vae(),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(steps_offset=1),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
