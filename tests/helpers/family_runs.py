"""Run the tiny pipeline of each family, and compute its attention with a plain softmax."""

from __future__ import annotations

import functools

import numpy as np
import torch

from daam_syntax.attention import trace
from helpers.family_pipelines import make

pipeline = functools.cache(make)


def denoiser(case):
    return getattr(pipeline(case.name), case.denoiser)


def draw(case, prompts, *, pipe=None, guided=True, size=None, per_prompt=1, steps=1, **options):
    pipe = pipe or pipeline(case.name)
    size = size or case.sizes[1]
    arguments = {
        "height": size[0],
        "width": size[1],
        "num_inference_steps": steps,
        "num_images_per_prompt": per_prompt,
        "generator": torch.Generator().manual_seed(7),
        "output_type": "pt",
        **case.arguments,
        **(case.guided if guided else case.unguided),
    }
    if "negative_prompt" in arguments:
        arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(prompts)
    return pipe(**{"prompt": list(prompts), **arguments, **options}).images


def traced(case, prompts, *, padding=False, negative=False, **options):
    with trace(pipeline(case.name), padding=padding, negative=negative) as recording:
        images = draw(case, prompts, **options)
    return images, recording.heat_maps(negative=negative)


def unconditional(case, call_index, n_rows, n_images):
    """Return the unconditional rows of a denoiser call according to the case."""
    if case.calls == "first call":
        return slice(0, n_images) if call_index % 2 else None
    return slice(0, n_images) if case.calls == "second half" else slice(n_images, n_rows)


def conditional(case, call_index, n_rows, n_images):
    """Return the conditional rows of a denoiser call according to the case."""
    if case.calls == "all":
        return slice(0, n_images)
    if case.calls == "first call":
        return slice(0, n_images) if call_index % 2 == 0 else None
    return slice(n_images, n_rows) if case.calls == "second half" else slice(0, n_images)


def reference(case, watch, n_images, grid, guided, half=conditional, among_pixels=False):
    """Return the mean attention of the rows of a half, *shape* ``(row, pixel, text key or pixel)``."""
    n_pixels, shares = grid[0] * grid[1], []
    for index, (calls, inputs) in enumerate(zip(watch.steps, watch.inputs, strict=True)):
        n_rows = calls[0].query.shape[0]
        rows = half(case, index, n_rows, n_images) if guided else slice(0, n_images)
        if rows is None:
            continue
        for call in calls:
            whole = call.shares()
            if case.name == "Lumina 2" and among_pixels:
                whole = only_pixels(whole, inputs["encoder_attention_mask"], n_pixels)
            elif case.name == "Lumina 2":
                whole = without_padding(whole, inputs["encoder_attention_mask"], n_pixels)
            pixels, text = case.where(whole.shape[1], n_pixels)
            keys = slice(text, None)
            if among_pixels and whole.shape[1] == whole.shape[2]:
                keys = slice(pixels, pixels + n_pixels)
            elif among_pixels:
                keys = slice(-n_pixels, None)
            shares.append(whole[rows, pixels : pixels + n_pixels, keys])
    return torch.stack(shares).mean(dim=0)


def only_pixels(whole, mask, n_pixels):
    """Keep only the pixels of each row, which directly follow its own text."""
    own = [slice(length, length + n_pixels) for length in mask.sum(dim=1)]
    return torch.stack([each[pixels, pixels] for each, pixels in zip(whole, own, strict=True)])


def without_padding(whole, mask, n_pixels):
    """Move the pixels of each row, which directly follow its own text, to after the longest text."""
    lengths = mask.sum(dim=1)
    n_text = int(lengths.max())
    moved = torch.zeros(len(whole), n_text + n_pixels, mask.shape[1], dtype=whole.dtype)
    for row, length in enumerate(lengths):
        moved[row, n_text:, :length] = whole[row, length : length + n_pixels, :length]
    return moved


def keys_of(case, maps):
    """Return the text key of each subword according to the case."""
    starts = dict(zip(case.encoders, np.cumsum([0, *case.encoders.values()]), strict=False))
    return [starts[s.encoder or next(iter(starts))] + s.position for s in maps.subwords]
