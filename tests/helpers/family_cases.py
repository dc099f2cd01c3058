"""How each family of models is tested; `tools/models_page.py` makes docs/models.md from the same cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Where = Callable[[int, int], tuple[int, int]]
"""Returns the first pixel query and the first text key, given the numbers of queries and of pixels."""


def cross(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, 0


def text_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return n_queries - n_pixels, 0


def after_eight_registers(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return n_queries - n_pixels, 8


def image_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, n_pixels


def image_first_padded(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, math.ceil(n_pixels / 32) * 32


@dataclass(frozen=True)
class Case:
    """A test case for a family.

    `cell` is the side of a grid cell in image pixels. `calls` states which rows are conditional under guidance: the
    "second half" or "first half" of each call, all rows of the "first call" of each pair, or "all" if the guidance
    scale is an input of the model.
    """

    name: str
    pipelines: str
    encoders: Mapping[str, int]  # name to length of its text block in the tests, in order
    tokenizers: str
    keys: str
    where: Where
    calls: str
    modules: str = r".*\.attn"  # paths of the attentions between pixels and text
    cell: int = 16
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((64, 64), (64, 96))
    denoiser: str = "transformer"
    text: str = "encoder_hidden_states"  # name of the denoiser's input
    images: int = 4  # how many images the pipeline can generate at once under guidance
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 4.0})
    unguided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 1.0})
    limits: str = ""


SHORT = {"max_sequence_length": 24}
LONG = {"max_sequence_length": 64}  # for a chat template around the prompt
EXACT_SIZE = {"use_resolution_binning": False}
TRUE_CFG = {"true_cfg_scale": 4.0, "negative_prompt": "the blue owl"}

CASES = [
    Case(
        "PixArt-alpha",
        "PixArtAlphaPipeline",
        {"t5": 24},
        "T5",
        "cross-attention",
        cross,
        "second half",
        r".*\.attn2",
        arguments=SHORT | EXACT_SIZE,
        limits="sizes that would be cropped are refused; text that `clean_caption` rewrites is refused",
    ),
    Case(
        "PixArt-sigma",
        "PixArtSigmaPipeline",
        {"t5": 24},
        "T5",
        "cross-attention",
        cross,
        "second half",
        r".*\.attn2",
        arguments=SHORT | EXACT_SIZE,
        limits="as PixArt-alpha",
    ),
    Case(
        "Sana",
        "SanaPipeline",
        {"gemma": 24},
        "Gemma after an instruction, which is removed",
        "cross-attention",
        cross,
        "second half",
        r".*\.attn2",
        cell=8,
        arguments=SHORT | EXACT_SIZE,
        limits="as PixArt-alpha",
    ),
    Case(
        "HunyuanDiT",
        "HunyuanDiTPipeline",
        {"clip": 77, "t5": 256},
        "BERT (bilingual CLIP), T5",
        "cross-attention: CLIP, T5",
        cross,
        "second half",
        r".*\.attn2",
        arguments=EXACT_SIZE,
    ),
    Case(
        "PRX",
        "PRXPipeline",
        {"t5gemma": 0},
        "Gemma (T5Gemma)",
        "text, pixels; only pixels are queries",
        cross,
        "second half",
        r"blocks\.\d+\.attention",
        arguments=EXACT_SIZE,
        images=1,
        limits="with guidance, diffusers 0.42 itself generates only one image at a time; text that its "
        "cleaning rewrites is refused",
    ),
    Case(
        "SD3",
        "StableDiffusion3Pipeline (SD3, SD3.5)",
        {"clip": 12, "t5": 24},
        "CLIP and bigG (concatenated), T5",
        "joint: pixels, CLIP, T5",
        image_first,
        "second half",
        arguments=SHORT,
        limits="if `prompt_3` differs, T5's tokens are left out",
    ),
    Case(
        "AuraFlow",
        "AuraFlowPipeline",
        {"t5": 24},
        "T5",
        "joint: 8 registers, text, pixels",
        after_eight_registers,
        "second half",
        arguments=SHORT,
    ),
    Case(
        "Flux",
        "FluxPipeline",
        {"t5": 24},
        "T5 (CLIP is pooled only)",
        "joint: text, pixels",
        text_first,
        "first call",
        arguments=SHORT,
        guided=TRUE_CFG,
        unguided={"true_cfg_scale": 1.0},
        limits="if `prompt_2` is given, its words are mapped",
    ),
    Case(
        "Chroma",
        "ChromaPipeline",
        {"t5": 24},
        "T5",
        "joint: text, pixels",
        text_first,
        "first call",
        arguments=SHORT,
    ),
    Case(
        "Flux 2",
        "Flux2Pipeline (dev)",
        {"text": 0},
        "Mistral in a chat template; run with Qwen's tokenizer and text model",
        "joint: text, pixels",
        text_first,
        "all",
        arguments={"max_sequence_length": 256},
    ),
    Case(
        "Flux 2 klein",
        "Flux2KleinPipeline",
        {"text": 0},
        "Qwen3 in a chat template",
        "joint: text, pixels",
        text_first,
        "first call",
        arguments=LONG,
    ),
    Case(
        "Qwen-Image",
        "QwenImagePipeline",
        {"qwen": 0},
        "Qwen2 in a chat template, whose beginning is removed",
        "joint: text, pixels",
        text_first,
        "first call",
        arguments=SHORT,
        guided=TRUE_CFG,
        unguided={"true_cfg_scale": 1.0},
    ),
    Case(
        "CogView4",
        "CogView4Pipeline",
        {"glm": 0},
        "GLM, left-padded",
        "joint: text, pixels",
        text_first,
        "first call",
        r".*\.attn1",
        arguments={"max_sequence_length": 32},
    ),
    Case(
        "Lumina 2",
        "Lumina2Pipeline",
        {"gemma": 0},
        "Gemma after a system prompt",
        "joint: text, pixels directly after each row's own text",
        text_first,
        "first call",
        r"layers\..*\.attn",
        arguments={"max_sequence_length": 256},
    ),
    Case(
        "Z-Image",
        "ZImagePipeline",
        {"qwen": 0},
        "Qwen3 in a chat template",
        "joint: pixels, text, each padded to a multiple of 32",
        image_first_padded,
        "first half",
        r"layers\..*\.attention",
        unguided={"guidance_scale": 0.0},
        text="cap_feats",
        arguments=LONG,
    ),
    Case(
        "Lumina-Next",
        "LuminaPipeline",
        {"gemma": 0},
        "Gemma, left-padded",
        "cross-attention",
        cross,
        "first half",
        r".*\.attn2",
    ),
    Case(
        "DeepFloyd IF",
        "IFPipeline (first stage)",
        {"t5": 77},
        "T5",
        "text, pixels; only pixels are queries",
        cross,
        "second half",
        r".*\.attentions\.\d+",
        cell=2,
        sizes=((16, 16), (16, 24)),
        denoiser="unet",
        limits="as PixArt-alpha",
    ),
]
