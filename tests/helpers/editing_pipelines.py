"""Tiny pipelines that draw beside reference images, and how each is called in the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import diffusers
import numpy as np
import transformers
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image

from helpers.family_pipelines import make

Size = tuple[int, int]  # height and width

IMAGE_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def reference(size: Size, seed: int = 0) -> Image.Image:
    """Return an image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@dataclass(frozen=True)
class Editing:
    """A pipeline with reference images, of another aspect ratio than the image that is drawn."""

    name: str
    pipeline: str
    references: tuple[Size, ...]
    guided: Mapping[str, Any]
    unguided: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size: Size = (64, 128)
    prompts: int = 2

    def images(self) -> Any:
        images = [reference(size, seed) for seed, size in enumerate(self.references)]
        return images if len(images) > 1 else images[0]


TRUE_CFG = {"true_cfg_scale": 4.0, "negative_prompt": ["the blue owl"] * 2}

EDITING = [
    Editing(
        "Flux Kontext",
        "FluxKontextPipeline",
        ((128, 64),),
        TRUE_CFG,
        arguments={"max_sequence_length": 24, "max_area": 64 * 128, "_auto_resize": False},
    ),
    Editing(
        "Flux 2", "Flux2Pipeline", ((128, 64), (64, 96)), {}, arguments={"max_sequence_length": 256}
    ),
    Editing(
        "Flux 2 klein",
        "Flux2KleinPipeline",
        ((128, 64), (64, 96)),
        {"guidance_scale": 4.0},
        {"guidance_scale": 1.0},
        {"max_sequence_length": 64},
    ),
    Editing("Qwen-Image-Edit", "QwenImageEditPipeline", ((128, 64),), TRUE_CFG, prompts=1),
    Editing(
        "Qwen-Image-Edit-Plus",
        "QwenImageEditPlusPipeline",
        ((128, 64), (64, 128)),
        TRUE_CFG,
        prompts=1,
    ),
]


def make_editing(name: str) -> Any:
    """Make the tiny pipeline of a case."""
    if name in ("Flux 2", "Flux 2 klein"):
        return make(name)
    if name == "Flux Kontext":
        return _ready(diffusers.FluxKontextPipeline(**make("Flux").components))
    (case,) = (each for each in EDITING if each.name == name)
    return _make_qwen_edit(getattr(diffusers, case.pipeline))


def _ready(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


class ImageProcessor(transformers.Qwen2VLProcessor):
    """A processor of texts and images alone: the part for videos needs another package."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        return argument and super().check_argument_for_proper_class(argument_name, argument)


def _make_qwen_edit(cls: Any) -> Any:
    """Make a Qwen pipeline whose text encoder reads images, too, through a processor with its own tokenizer."""
    parts = make("Qwen-Image").components
    tokenizer = parts["tokenizer"]
    tokenizer.add_special_tokens({"additional_special_tokens": IMAGE_TOKENS})
    encoder = parts["text_encoder"]
    encoder.resize_token_embeddings(len(tokenizer))
    start, end, image, video = tokenizer.convert_tokens_to_ids(IMAGE_TOKENS)
    encoder.config.vision_start_token_id, encoder.config.vision_end_token_id = start, end
    encoder.config.image_token_id, encoder.config.video_token_id = image, video
    images = transformers.Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112)
    pipe = _ready(cls(**parts, processor=ImageProcessor(images, tokenizer)))
    # With the real tokenizer the template before the prompt has 64 tokens, which end before the images.
    before, _ = pipe.prompt_template_encode.split("{}")
    before = before.removesuffix("<|vision_start|><|image_pad|><|vision_end|>")
    pipe.prompt_template_encode_start_idx = len(tokenizer(before)["input_ids"])
    return pipe


@contextlib.contextmanager
def small_images() -> Iterator[None]:
    """Let Qwen's pipelines resize references to 64 x 128 pixels instead of a million."""
    modules = (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus)
    with contextlib.ExitStack() as undo:
        for module in modules:
            undo.enter_context(patch.object(module, "calculate_dimensions", _dimensions(module)))
        yield


def _dimensions(module: Any) -> Any:
    original = module.calculate_dimensions
    return lambda area, ratio: original(area / 128, ratio)
