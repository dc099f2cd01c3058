"""Kandinsky 3, whose text attentions have two grids and a mask, against a softmax by hand."""

import functools

import numpy as np
import pytest
import torch
from torch.nn import functional

from daam_syntax.attention import family_of, trace
from helpers.attention_reference import CallsWithin
from helpers.family_pipelines import make
from helpers.tracing import CAT, OWL

pipeline = functools.cache(functools.partial(make, "Kandinsky 3"))
SIZE, GRIDS = (64, 128), {32: (4, 8), 128: (8, 16)}
TEXT = r".*\.attentions\.[1-9]\.attention"


def draw(prompts, *, guided=True, **options):
    return pipeline()(
        prompt=prompts,
        height=SIZE[0],
        width=SIZE[1],
        num_images_per_prompt=2,
        num_inference_steps=2,
        guidance_scale=3.0 if guided else 1.0,
        generator=torch.Generator().manual_seed(1),
        output_type="pt",
        **options,
    ).images


def by_hand(watch, rows):
    """Return the mean over steps of each layer, on the finest grid, and over the layers: ``(row, key, y, x)``."""
    layers = []
    for calls in zip(*watch.steps, strict=True):
        mean = torch.stack([call.shares()[rows] for call in calls]).mean(dim=0).transpose(1, 2)
        grid = mean.unflatten(-1, GRIDS[mean.shape[-1]])
        layers.append(
            functional.interpolate(grid, (8, 16), mode="bicubic", align_corners=False).clamp(min=0)
        )
    return np.asarray(torch.stack(layers).mean(dim=0))


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_maps_are_right_and_images_the_same_to_the_bit(guided):
    prompts = [CAT, OWL]
    watch = CallsWithin(pipeline().unet, TEXT)
    untraced = watch.during(lambda: draw(prompts, guided=guided))
    with trace(pipeline(), padding=True) as recording:
        images = draw(prompts, guided=guided)
    assert torch.equal(images, untraced)
    expected = by_hand(watch, slice(4, 8) if guided else slice(0, 4))
    for row, maps in enumerate(recording.heat_maps()):
        assert maps.prompt == prompts[row // 2]
        assert (maps.image_size, maps.grid) == (SIZE, (8, 16))
        assert maps.image_size == images.shape[-2:]
        assert [word.status for word in maps.words] == ["mapped"] * len(maps)
        keys = [subword.position for subword in maps.subwords]
        assert sorted(keys) == list(range(expected.shape[1]))  # with padding: all keys
        np.testing.assert_allclose(maps.data, expected[row][keys], atol=1e-6)


def test_the_negative_prompt_has_maps_of_its_own():
    options = {"negative_prompt": ["the blue owl"] * 2}
    watch = CallsWithin(pipeline().unet, TEXT)
    watch.during(lambda: draw([CAT, OWL], **options))
    with trace(pipeline(), negative=True) as recording:
        draw([CAT, OWL], **options)
    expected = by_hand(watch, slice(0, 4))
    for row, maps in enumerate(recording.heat_maps(negative=True)):
        keys = [subword.position for subword in maps.subwords]
        np.testing.assert_allclose(maps.data, expected[row][keys], atol=1e-6)


def test_only_attentions_of_pixels_to_text_are_described():
    """The first attention of each block is among pixels, and another summarizes the text."""
    family, unet = family_of(pipeline()), pipeline().unet
    paths = [
        path for path, module in unet.named_modules() if family.is_text_attention(path, module)
    ]
    assert len(paths) == 6
    assert not any("attentions.0" in path or "add_time_condition" in path for path in paths)
