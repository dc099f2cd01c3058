"""Prompts and sizes that the tests of attention share, and calls of tiny Stable Diffusion pipelines."""

import numpy as np
import torch
from PIL import Image

from daam_syntax.attention import trace
from helpers.tiny_pipelines import TEXT_LENGTH

CAT = "a red cat"
OWL = "the strawberry and the owl"  # a word of two subwords, and a repeated word
LONG = "the red cat and the blue owl and the red cat and the strawberry"
FULL = "cat " * (TEXT_LENGTH - 3) + "cat"  # fills the encoder's sequence: no padding

NATIVE = ["down_blocks.1"]  # one grid: no interpolation, which may overshoot and is clipped at 0

SQUARE, OBLONG = (64, 64), (72, 104)  # latents of 8 x 8, and of 9 x 13, which are odd
GRIDS = {64: (8, 8), 16: (4, 4), 4: (2, 2), 117: (9, 13), 35: (5, 7), 12: (3, 4)}


def draw(pipe, prompt, *, size=OBLONG, guidance=5.0, steps=2, seed=7, **options):
    return pipe(
        prompt,
        height=size[0],
        width=size[1],
        guidance_scale=guidance,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
        **options,
    ).images


def traced(pipe, prompt, layers=None, **options):
    with trace(pipe, layers=layers) as recording:
        images = draw(pipe, prompt, **options)
    return images, recording.heat_maps()


def values(maps):
    return np.asarray(maps.data)


def latents(n, size=OBLONG, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, size[0] // 8, size[1] // 8, generator=generator)


def make_image(height=72, width=104, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
