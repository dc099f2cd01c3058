"""What is tested of each family of models; `docs/models.md` is written from it.

python tests/family_cases.py --write
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "models.md"

Where = Callable[[int, int], tuple[int, int]]
"""From the number of queries and of pixels to the first pixel query and the first text key."""


def cross(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, 0


def text_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return n_queries - n_pixels, 0


def after_eight_registers(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return n_queries - n_pixels, 8


def image_first(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, n_pixels


def image_first_filled(n_queries: int, n_pixels: int) -> tuple[int, int]:
    return 0, math.ceil(n_pixels / 32) * 32


@dataclass(frozen=True)
class Case:
    """A family as it is tested.

    `cell` is the side of a grid cell in image pixels. `calls` says which rows of which calls are
    drawn from the prompts under guidance: the "second half" or "first half" of each, or all rows of
    the "first call" of each pair, or "all" where the guidance scale is an input of the model.
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
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((64, 64), (64, 96))
    denoiser: str = "transformer"
    text: str = "encoder_hidden_states"  # the denoiser's input
    images: int = 4  # how many a pipeline can draw at once under guidance
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 4.0})
    unguided: Mapping[str, Any] = field(default_factory=lambda: {"guidance_scale": 1.0})
    limits: str = ""


SHORT = {"max_sequence_length": 24}
LONG = {"max_sequence_length": 64}  # for a chat template around the prompt
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
        "HunyuanDiT",
        "HunyuanDiTPipeline",
        {"clip": 77, "t5": 256},
        "BERT (bilingual CLIP), T5",
        "cross-attention: CLIP, T5",
        cross,
        "second half",
        r".*\.attn2",
        arguments=AS_ASKED,
    ),
    Case(
        "PRX",
        "PRXPipeline",
        {"t5gemma": 0},
        "Gemma (T5Gemma)",
        "text, pixels; only pixels ask",
        cross,
        "second half",
        r"blocks\.\d+\.attention",
        arguments=AS_ASKED,
        images=1,
        limits="under guidance, diffusers 0.42 itself draws one image at a time only; text that its "
        "cleaning rewrites is refused",
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
        "Qwen2 in a chat template, whose beginning is cut off",
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
        "GLM, padded on the left",
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
        "joint: text, pixels at once after each row's own text",
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
        "joint: pixels, text, each filled up to a multiple of 32",
        image_first_filled,
        "first half",
        r"layers\..*\.attention",
        unguided={"guidance_scale": 0.0},
        text="cap_feats",
        arguments=LONG,
    ),
    Case(
        "DeepFloyd IF",
        "IFPipeline (first stage)",
        {"t5": 77},
        "T5",
        "text, pixels; only pixels ask",
        cross,
        "second half",
        r".*\.attentions\.\d+",
        cell=2,
        sizes=((16, 16), (16, 24)),
        denoiser="unet",
        limits="as PixArt-alpha",
    ),
]


ELSEWHERE = [
    (
        "Stable Diffusion 1, 2",
        "StableDiffusionPipeline",
        "CLIP",
        "cross-attention",
        "second half",
        "pipeline (`tests/test_trace.py`, also bfloat16, LCM's guidance embedding, IP-Adapter)",
        "attention slicing, xformers and compiled models are refused",
    ),
    (
        "SDXL",
        "StableDiffusionXLPipeline",
        "CLIP and bigG (joined)",
        "cross-attention",
        "second half",
        "pipeline (`tests/test_trace.py`)",
        "as Stable Diffusion; the words are those of `prompt`, not of `prompt_2`",
    ),
]

GUIDANCE = {
    "second half": "batch: unconditional rows first",
    "first half": "batch: conditional rows first",
    "first call": "two calls; told by their text",
    "all": "scale is an input of the model",
}

HEADER = ("Family", "Pipelines", "Tokenizers", "Keys", "Guidance", "What was run", "Limits")


def page() -> str:
    """Write the page of supported models."""
    rows = [
        (name, pipelines, tokenizers, keys, GUIDANCE[calls], run, limits)
        for name, pipelines, tokenizers, keys, calls, run, limits in ELSEWHERE
    ]
    for case in CASES:
        square, oblong = (" x ".join(map(str, size)) for size in case.sizes)
        batches = "1 image, 2 prompts x 2 images"
        if case.images < 4:
            batches += f" (guided: {case.images})"
        rows.append(
            (
                case.name,
                case.pipelines,
                case.tokenizers,
                case.keys,
                GUIDANCE[case.calls],
                f"pipeline, with and without guidance; {batches}; {square}, {oblong}",
                case.limits,
            )
        )
    lines = [HEADER, tuple("---" for _ in HEADER), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return PAGE_TEXT.format(table=table, n=len(rows))


PAGE_TEXT = """\
# Models that can be traced

<!-- Written by `python tests/family_cases.py --write`; a test fails when it is out of date. -->

`ds.trace(pipe)` works with these {n} kinds of text-to-image pipelines of diffusers. Each row was run as a whole tiny
pipeline with random weights, of the classes of the real one (text encoders, tokenizers, VAE, scheduler) but where
the row says otherwise, on a CPU: the traced picture is the same to the bit as the untraced one, and every map equals
a softmax in 64 bits by hand to 1e-6. The real weights were not run here.

{table}

*Keys*: "cross-attention" means that pixels attend to the text alone, so that their probabilities of all text tokens,
padding included, sum to one. Otherwise pixels attend to text and pixels in one softmax, and the text has only a part
of it. *Guidance*: what is recorded is drawn from the prompt only. Where guidance is a call of the denoiser of its own,
the two calls are told apart by the embedded text they are given; where prompt and negative prompt are the same, so
are the two calls. Some pipelines (Sana and PRX, for instance) give the images of several prompts each other's text
masks when each prompt gets several images: what is recorded is what the model did.

## Text encoders

Where a model attends to the tokens of two encoders, a word has subwords of both. `maps.encoders` names them,
`maps.encoder("t5")` gives the maps of one, and a word's map is the mean of the encoders that have it. A word that one
encoder cut off is still mapped by the other.

Tokens that a pipeline writes around the prompt (a system prompt, a chat template) have maps of the kind "template"
and belong to no word. Tokenizers that know no character offsets are read by decoding one more token at a time; if that
does not give back the prompt to the letter, they are refused.

## What else works

Each of these was run with tiny random pipelines, on a picture that is not square; the picture is the same to the bit
and the maps equal the softmax by hand (`tests/test_trace_variants.py`).

- Image to image and inpainting (Stable Diffusion, also with the 9 channels of an inpainting model, and SDXL), and image
  to image with SD3. The steps are those that are drawn, which are fewer than asked for where `strength` is below 1.
- ControlNet (Stable Diffusion, SDXL): the maps are of the UNet's attention; the ControlNet's own is not heard.
- LoRA adapters (Stable Diffusion, through peft): the maps are of the adapted keys and queries.
- IP-Adapter (Stable Diffusion, SDXL): the maps are of the attention to the text, a softmax of its own; that to the
  picture is not mixed in.
- Offloading of whole models, of groups of layers and of single layers (`enable_model_cpu_offload`,
  `enable_group_offload`, `enable_sequential_cpu_offload`), run from a CPU to the same CPU: the hooks live together.
  (The last was run through accelerate: diffusers' own method fails on a CPU, with a trace or without.)
- The attention back ends of diffusers that call torch's function: `native`, `_native_flash` and `_native_math` were
  run, `_native_cudnn` and `_native_efficient` need a GPU. All others (flex, flash, sage, xformers, ...) are
  refused: choose `set_attention_backend("native")`.
- `prompt_embeds` instead of prompts, if the trace is told their text (`trace(pipe, prompts=...)`): Stable Diffusion,
  SD3, Flux, PixArt, Lumina 2, Qwen-Image (`tests/test_prompt_embeds.py`). The pipeline needs its text encoders.

## What else is recorded, if it is asked for

- `trace(padding=True)`: the tokens that fill a prompt up, of all families. `maps.special("padding")` is their mean,
  `maps.special("padding", total=True)` their sum, `daam_syntax.analysis.attention_shares(maps)` what each kind of token
  takes.
- `trace(negative=True)`: the words of the negative prompt, in the rows or calls that are drawn from it, of all families
  but those that have none: Flux 2 (its scale is an input of the model, and klein takes no negative text).
- `trace(refine=True)`: maps carried along the attention between pixels, of all families but Sana, whose
  self-attention is linear.
- `trace(also=...)`: texts that are not in the prompt, for UNets (but DeepFloyd IF), PixArt and Sana. In joint attention
  the text changes with the picture, so that another text has no keys to see it with; HunyuanDiT and PRX are not
  described.

## Other models

An unknown denoiser with diffusers' plain cross-attention works without a description. For others, `register_family`
takes one: which modules attend to the text, how keys and pixels are laid out, the grid, how guidance is done, and
which tokenizers are read (see its example, and `daam_syntax/attention/families/`).

Not described: Lumina 1, HiDream, OmniGen, HunyuanImage, Kandinsky, Bria and video models. Kolors has the UNet of SDXL
and a tokenizer without offsets; it was not run.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page())


if __name__ == "__main__":
    main()
