"""Write docs/models.md from the tested families of models: ``python -m tools.models_page``.

The table comes from `CASES` in tests/helpers/family_cases.py, so the page lists what the tests run.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from helpers.family_cases import CASES  # noqa: E402

PAGE = ROOT / "docs" / "models.md"

ELSEWHERE = [
    (
        "Stable Diffusion 1, 2",
        "StableDiffusionPipeline",
        "CLIP",
        "cross-attention",
        "second half",
        "pipeline (`tests/attention/test_tracing.py`, also bfloat16, LCM's guidance embedding, IP-Adapter)",
        "attention slicing, xformers and compiled models are refused",
    ),
    (
        "SDXL",
        "StableDiffusionXLPipeline",
        "CLIP and bigG (joined)",
        "cross-attention",
        "second half",
        "pipeline (`tests/attention/test_tracing.py`)",
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
    """Return the page as Markdown."""
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

<!-- Written by `python -m tools.models_page`; a test fails if it is out of date. -->

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
and the maps equal the softmax by hand (`tests/attention/test_trace_variants.py`).

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
  SD3, Flux, PixArt, Lumina 2, Qwen-Image (`tests/attention/test_prompt_embeds.py`). The pipeline needs its text
  encoders.

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
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
