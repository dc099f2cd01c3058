"""What is tested of each family of models; `docs/models.md` is written from it.

python tests/family_cases.py --write
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "models.md"

Where = Callable[[int, int], tuple[int, int]]
"""From the number of queries and of pixels to the first pixel query and the first text key."""


def cross(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, 0


def text_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return n_queries - n_pixels, 0


def image_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, n_pixels


@dataclass(frozen=True)
class Case:
    """A family as it is tested.

    `cell` is the side of a grid cell in image pixels. `calls` says which rows of which calls are
    drawn from the prompts under guidance: the "second half" or "first half" of each, or all rows of
    the "first call" of each pair.
    """

    name: str
    pipelines: str
    encoders: Mapping[str, int]  # lengths of their text blocks in the tests, in order
    tokenizers: str
    keys: str
    where: Where
    calls: str
    modules: str = r".*\.attn"  # paths of the attentions between pixels and text
    cell: int = 16
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 4.0})
    unguided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 1.0})
    limits: str = ""

    @property
    def reads_length(self) -> int:
        return sum(self.encoders.values())


SHORT = {"max_sequence_length": 24}
AS_ASKED = {"use_resolution_binning": False}
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
        arguments=SHORT | AS_ASKED,
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
        arguments=SHORT | AS_ASKED,
        limits="as PixArt-alpha",
    ),
    Case(
        "Sana",
        "SanaPipeline",
        {"gemma": 24},
        "Gemma after an instruction, which is cut out",
        "cross-attention",
        cross,
        "second half",
        r".*\.attn2",
        cell=8,
        arguments=SHORT | AS_ASKED,
        limits="as PixArt-alpha",
    ),
    Case(
        "SD3",
        "StableDiffusion3Pipeline (SD3, SD3.5)",
        {"clip": 12, "t5": 24},
        "CLIP and bigG (joined), T5",
        "joint: pixels, CLIP, T5",
        image_first,
        "second half",
        arguments=SHORT,
        limits="with another `prompt_3`, T5's tokens are left out",
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
        limits="with `prompt_2`, that is what the words are of",
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
        "Qwen-Image",
        "QwenImagePipeline",
        {"qwen": 0},
        "Qwen2 in a chat template, whose beginning is cut off",
        "joint: text, pixels",
        text_first,
        "first call",
        arguments=SHORT,
        guided=TRUE_CFG,
        unguided={"true_cfg_scale": 1.0},
    ),
]
