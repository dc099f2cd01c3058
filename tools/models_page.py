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
        "attention slicing, xformers, and compiled models are refused",
    ),
    (
        "SDXL",
        "StableDiffusionXLPipeline",
        "CLIP and bigG (concatenated)",
        "cross-attention",
        "second half",
        "pipeline (`tests/attention/test_tracing.py`)",
        "like Stable Diffusion; words are those of `prompt`, not of `prompt_2`",
    ),
]

GUIDANCE = {
    "second half": "batch: unconditional rows first",
    "first half": "batch: conditional rows first",
    "first call": "two calls, distinguished by their text",
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

`ds.trace(pipe)` works with these {n} kinds of text-to-image pipelines of diffusers. Unless a row says otherwise, it
was run on a CPU as a whole tiny pipeline with random weights, built from the same classes as the real one (text
encoders, tokenizers, VAE, scheduler). The traced image is bit-identical to the untraced one, and every map equals
an independent 64-bit softmax to 1e-6. The real weights were not run here.

{table}

*Keys*: "cross-attention" means that pixels attend to the text alone, so each pixel's probabilities over all text
tokens, padding included, sum to 1. Otherwise pixels attend to text and pixels in one softmax, and the text receives
only part of it. *Guidance*: only attention to the prompt is recorded. Where guidance makes a separate call of the
denoiser, the two calls are distinguished by their embedded text; if the prompt and the negative prompt are the
same, so are the two calls. Some pipelines (Sana and PRX, for instance) mix up the text masks of several prompts
when each prompt gets several images. The trace records what the model did.

## Text encoders

Where a model attends to the tokens of two encoders, a word has subwords in both. `maps.encoders` names them,
`maps.encoder("t5")` gives the maps of one, and a word's map is the mean over the encoders that have the word. A
word that one encoder truncated is still mapped by the other.

Tokens that a pipeline adds around the prompt (a system prompt, a chat template) have maps of the kind "template"
and belong to no word. Tokenizers without character offsets are aligned by decoding one more token at a time. If
decoding does not reproduce the prompt exactly, the tokenizer is refused.

## What else works

Each of these was run with tiny random pipelines on a non-square image. The image is bit-identical, and the maps
equal an independent softmax (`tests/attention/test_trace_variants.py`).

- Image to image and inpainting (Stable Diffusion, also with the 9 channels of an inpainting model, and SDXL), and
  image to image with SD3. The steps are those that run, which are fewer than requested if `strength` is below 1.
- ControlNet (Stable Diffusion, SDXL): the maps show the UNet's attention. The ControlNet's own attention is not
  recorded.
- LoRA adapters (Stable Diffusion, through peft): the maps use the adapted keys and queries.
- IP-Adapter (Stable Diffusion, SDXL): the maps show attention to the text, which has a softmax of its own.
  Attention to the image prompt is not included.
- Offloading of whole models, groups of layers, and single layers (`enable_model_cpu_offload`,
  `enable_group_offload`, `enable_sequential_cpu_offload`), run from a CPU to the same CPU: their hooks and those of
  a trace coexist. (Sequential offloading was run through accelerate: diffusers' own method fails on a CPU, traced
  or not.)
- The attention back ends of diffusers that call torch's function: `native`, `_native_flash` and `_native_math` were
  run; `_native_cudnn` and `_native_efficient` need a GPU. All others (flex, flash, sage, xformers, ...) are
  refused: choose `set_attention_backend("native")`.
- `prompt_embeds` instead of prompts, if the trace is given their text (`trace(pipe, prompts=...)`): Stable
  Diffusion, SD3, Flux, PixArt, Lumina 2, Qwen-Image (`tests/attention/test_prompt_embeds.py`). The pipeline needs
  its text encoders.

## What else can be recorded

- `trace(padding=True)`: the tokens that pad a prompt, in all families. `maps.special("padding")` is their mean,
  `maps.special("padding", total=True)` is their sum, and `daam_syntax.analysis.attention_shares(maps)` tabulates
  how much attention each kind of token receives.
- `trace(negative=True)`: the words of the negative prompt, in the rows or calls that belong to it, in all families
  except Flux 2, which has no negative prompt (its scale is an input of the model, and klein takes no negative
  text).
- `trace(refine=True)`: maps propagated along the attention between pixels, in all families except Sana, whose
  self-attention is linear.
- `trace(also=...)`: texts that are not in the prompt, for UNets (except DeepFloyd IF), PixArt, and Sana. In joint
  attention the text changes together with the image, so another text has no keys of its own. HunyuanDiT and PRX are
  not described.

## Other models

An unknown denoiser with diffusers' plain cross-attention works without a description. For others, `register_family`
takes one: which modules attend to the text, how keys and pixels are laid out, the grid, how guidance is done, and
which tokenizers are read (see its example, and `daam_syntax/attention/families/`).

Not described: Lumina 1, HiDream, OmniGen, HunyuanImage, Kandinsky, Bria, and video models. Kolors has the UNet of
SDXL and a tokenizer without offsets. It was not run.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
