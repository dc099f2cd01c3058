"""Write docs/models.md from the tested families of models: ``python -m tools.models_page``.

The tables come from `CASES` in tests/helpers/family_cases.py, `EDITING` in tests/helpers/editing_pipelines.py, and
`VIDEOS` in tests/helpers/video_pipelines.py, so the page lists what the tests run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from helpers.editing_pipelines import EDITING, Editing  # noqa: E402
from helpers.family_cases import CASES  # noqa: E402
from helpers.video_pipelines import VIDEOS, Video  # noqa: E402

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
    (
        "Kandinsky 3",
        "Kandinsky3Pipeline",
        "T5, cut to the longest prompt",
        "cross-attention",
        "second half",
        "pipeline (`tests/attention/families/test_kandinsky.py`)",
        "no refined maps",
    ),
]

GUIDANCE = {
    "second half": "batch: unconditional rows first",
    "first half": "batch: conditional rows first",
    "first call": "two calls, distinguished by their text",
    "all": "scale is an input of the model",
}

EDITING_HEADER = ("Model", "Pipeline", "Image", "References")
VIDEO_HEADER = (
    "Family",
    "Pipelines",
    "Tokenizers",
    "Keys",
    "Guidance",
    "What was run",
    "Drawn frames of a latent one",
)
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
    return PAGE_TEXT.format(
        table=_table(HEADER, rows),
        n=len(rows),
        editing=_table(EDITING_HEADER, [_editing(case) for case in EDITING]),
        videos=_table(VIDEO_HEADER, [_video(case) for case in VIDEOS]),
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---" for _ in header], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _editing(case: Editing) -> tuple[str, ...]:
    size, *references = (" x ".join(map(str, size)) for size in (case.size, *case.references))
    return case.name, case.pipeline, size, ", ".join(references)


def _video(case: Video) -> tuple[str, ...]:
    frames = ", ".join(str(ranges[-1].stop) for ranges in case.drawn.values())
    return (
        case.name,
        case.pipeline,
        case.tokenizers,
        case.keys,
        GUIDANCE[case.guidance],
        f"{frames} frames",
        case.frames,
    )


PAGE_TEXT = """\
# Models that can be traced

<!-- Written by `python -m tools.models_page`; a test fails if it is out of date. -->

`ds.trace(pipe)` works with these {n} kinds of text-to-image pipelines of diffusers. Unless a row says otherwise, each
was tested on a CPU as a complete tiny pipeline with random weights, built from the same classes as the real one (text
encoders, tokenizers, VAE, scheduler). The traced image is bit-identical to the untraced one, and every map equals
an independent 64-bit softmax to 1e-6. These tests do not run the real weights, and not on a GPU. [Devices](devices.md)
lists what was run on which device: the same tiny pipelines and a model of real size ran on one GPU.

{table}

*Keys*: "cross-attention" means that pixels attend to the text alone, so each pixel's probabilities over all text
tokens, padding included, sum to 1. Otherwise pixels attend to text and pixels in one softmax, and the text receives
only part of it. *Guidance*: only attention to the prompt is recorded. Where guidance makes a separate call of the
denoiser, the two calls are distinguished by their embedded text; if the prompt and the negative prompt are the
same, so are the two calls. Some pipelines (Sana and PRX, for instance) mix up the text masks of several prompts
when each prompt gets several images. The trace records what the model did.

## Reference images

Some pipelines take reference images, whose pixels form one sequence with those of the image. Maps show only the image
that is generated. `trace(pipe, references=True)` also records the pixels of each reference image, and
`heat_maps(reference=0)` returns the maps of the words on the first one, at the size to which the pipeline resized it.
Which pixels belong to which image is read from the model's own position ids or shapes; if these do not describe the
pixels exactly, the trace is refused. Each was tested with references of other aspect ratios than the image, with and
without guidance (`tests/attention/families/test_reference_images.py`):

{editing}

In Qwen's pipelines the text encoder reads the references, too; their tokens have maps of the kind "template".
Flux2KleinKVPipeline, which stores the keys of its references, and QwenImageLayeredPipeline, which generates several
layers, are refused.

## Videos

A video model generates latent frames, each of which becomes one or several frames of the video. Their maps are
`VideoMaps` (`recording.video_maps()`): `video.frames[0]` has the maps of the first latent frame, for every measure and
figure, and `video.drawn[0]` the frames of the video that it becomes. `daam_syntax.analysis.measure_frames` measures
overlap in each frame, or in all together; `figures.frame_grid` and `figures.animate` show them. Each was tested like
the models above (`tests/attention/test_video_maps.py`):

{videos}

All other pipelines that generate frames are refused by name, as are models that join several latent frames into one
query (CogVideoX 1.5) or have two transformers (Wan 2.2 with 14 billion parameters). Texts outside the prompt have
maps in each frame, too (`video_maps(of=text)`, `output_maps(frame=0)`;
`tests/attention/recording/test_texts_in_videos.py`). Refined maps, interventions, given images, and runs on disk
are for images, and refuse videos.

## Text encoders

Where a model attends to the tokens of two encoders, a word has subwords in both. `maps.encoders` names them,
`maps.encoder("t5")` gives the maps of one, and a word's map is the mean over the encoders that have the word. A
word that one encoder truncated is still mapped by the other.

Tokens that a pipeline adds around the prompt (a system prompt, a chat template) have maps of the kind "template"
and belong to no word. Tokenizers without character offsets are aligned by decoding one more token at a time. If
decoding does not reproduce the prompt exactly, the tokenizer is refused.

A textual inversion of several vectors ("<zebra>", which the pipeline writes out as "<zebra> <zebra>_1 <zebra>_2") has
one map, of all its vectors, wherever it stands in the prompt (`tests/attention/test_textual_inversion.py`).

## Which text an image is generated from

In every step, the embeddings that the denoiser receives for the rows of the prompt are compared with a copy of those
that `encode_prompt` returned. The comparison runs on the device and is read once, when the image is finished (on a CPU,
after each step). The text is the same if the embedding of every token points in the same direction, up to rounding.
So tokens may be weighted, by scaling their embeddings before or during the call, or switched off by zeros; dynamic
guidance and the callbacks of diffusers that cut guidance off change no text. Maps stay exact in all of these cases.

Any other text is refused. The error gives the step and, if `pipe.encode_prompt` encoded the text in a callback, its
words. That includes changes in place, interpolated prompts, and noise on embeddings. If the prompt is exchanged while
the image is generated (prompt scheduling), record the steps before that: `trace(pipe, steps=slice(0, 10))`. Negative
prompts are compared if they are recorded. All families were tested with exchanged and with weighted text
(`tests/attention/test_drawn_text.py`).

`trace(pipe, prompts=...)` with `prompt_embeds`: tokens may also be moved towards or away from the embeddings of the
empty text, as compel does to weight them. Embeddings that differ more cause a warning, and from 45 degrees
on they are refused as those of another text.

## Attention that does not run

Maps are means over steps and layers, so every layer has to run in every recorded step. The caches of diffusers
(`enable_cache`, or functions such as `apply_first_block_cache`: FasterCache, FirstBlockCache, MagCache, Pyramid
Attention Broadcast, SeaCache, TaylorSeer) and skipped layers are refused by name before anything is generated, with the
call that switches them off. SeaCache was not tested. Anything else that skips blocks, such as a cache outside
diffusers, is detected in the first step in which a layer does not run (`tests/attention/test_skipped_attention.py`).

Perturbed-attention guidance (the PAG pipelines of Stable Diffusion, SDXL, SD3, PixArt-sigma, Sana, and HunyuanDiT) adds
rows whose self-attention is perturbed. The maps are those of the unperturbed rows of the prompt, also in layers that
are perturbed (`tests/attention/test_perturbed_attention.py`). Skip-layer guidance of SD3 makes further calls, which are
left out. Refused by name: StableDiffusionSAGPipeline, whose further calls see degraded latents, and
StableDiffusionPanoramaPipeline, whose calls see tiles; for other pipelines, latents of another size than the image's
are refused.

## Interrupts

The pipeline is restored at whatever moment Ctrl-C comes: while the `with` block is entered, left, or in between. A
second Ctrl-C waits until that is done. Python sets two limits. If a trace is entered in another way than by a
`with` statement (by an `ExitStack`, for instance), an interrupt in the few instructions between that object and the
trace can leave hooks behind. And an exception that another thread raises in this one asynchronously, twice during the
restoration, can stop it (`tests/attention/test_interrupts.py`).

## What else works

Each of these was tested with tiny random pipelines on a non-square image. The image is bit-identical, and the maps
equal an independent softmax (`tests/attention/test_trace_variants.py`).

- Image to image and inpainting (Stable Diffusion, also with the 9 channels of an inpainting model, and SDXL), and
  image to image with SD3. The steps are those that run, which are fewer than requested if `strength` is below 1.
- InstructPix2Pix (Stable Diffusion, SDXL): the maps are those of the rows with the text and the image; those of the
  negative prompt are of the rows with neither (`tests/attention/test_image_guidance.py`).
- ControlNet (Stable Diffusion, SDXL): the maps show the UNet's attention. The ControlNet's own attention is not
  recorded.
- LoRA adapters (Stable Diffusion, through peft): the maps use the adapted keys and queries.
- IP-Adapter (Stable Diffusion, SDXL, SD3, Flux): the maps show attention to the text, whose softmax does not have the
  keys of the adapter's image. Texts outside the prompt have maps beside it
  (`tests/attention/recording/test_image_adapters.py`).
  Attention to the image prompt is not included.
- Offloading of whole models, groups of layers, and single layers (`enable_model_cpu_offload`,
  `enable_group_offload`, `enable_sequential_cpu_offload`), run from a CPU to the same CPU: their hooks and those of
  a trace coexist. (Sequential offloading was run through accelerate: diffusers' own method fails on a CPU, traced
  or not.)
- The attention back ends of diffusers that call torch's function: `native`, `_native_flash` and `_native_math` were
  tested; `_native_cudnn` and `_native_efficient` need a GPU. All others (flex, flash, sage, xformers, ...) are
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
- `trace(also=...)`: texts that are not in the prompt, for UNets (except DeepFloyd IF), PixArt, Sana, and Wan, and
  for all models with joint attention: SD3, AuraFlow, Flux (also Kontext), Chroma, Flux 2, Qwen-Image, CogView4,
  CogVideoX, Lumina 2, and Z-Image. In joint attention a text changes together with the image, so it gets a residual
  stream of its own, compared with blocks that are computed by hand in 64 bits, to 1e-6, for each of them
  (`tests/attention/recording/test_concept_streams.py`, `test_texts_in_videos.py`). Refused by name: HunyuanDiT,
  PRX, Lumina-Next, DeepFloyd IF, and Kandinsky 3, which transform the text before their attentions in ways that are
  not described; models without a description, for the same reason; and perturbed-attention guidance of SD3, whose
  layers divide every batch.
- `trace(outputs=True)`: the similarity of attention outputs (`OutputMaps`), in all families; in videos for each
  latent frame. In joint attention, outputs of pixels are compared with those of the text; in cross-attention, with
  its values, after the output projection (`tests/attention/recording/test_outputs.py`).

## Other models

An unknown denoiser with diffusers' plain cross-attention works without a description. For others, `register_family`
takes one: which modules attend to the text, how keys and pixels are laid out, the grid, how guidance is done, and
which tokenizers are read (see its example, and `daam_syntax/attention/families/`).

Not described: HiDream, OmniGen, HunyuanImage, Kandinsky 2 and 5, and Bria. Kolors has the UNet of SDXL and a
tokenizer without offsets (`tests/attention/families/test_kolors.py`): maps, edits of the text's states at the
encoder's output, and `trace_text` work; edits at a layer and texts outside the prompt are refused.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
