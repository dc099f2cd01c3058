"""InstructPix2Pix, whose batches have three rows for each image: text and image, image alone, and neither."""

import diffusers
import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import Reference
from helpers.tiny_pipelines import as_pipeline, make_sd, make_sdxl
from helpers.tracing import CAT, OWL, make_image

GRIDS = {96: (8, 12), 24: (4, 6), 6: (2, 3)}
MAKERS = {
    "sd": lambda: as_pipeline(
        make_sd(in_channels=8), diffusers.StableDiffusionInstructPix2PixPipeline
    ),
    "sdxl": lambda: as_pipeline(
        make_sdxl(in_channels=8), diffusers.StableDiffusionXLInstructPix2PixPipeline
    ),
}


@pytest.fixture(scope="module", params=MAKERS)
def pipe(request):
    made = MAKERS[request.param]()
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipe, prompts, *, guidance=5.0, **options):
    if isinstance(pipe, diffusers.StableDiffusionXLInstructPix2PixPipeline):
        options |= {"height": 64, "width": 96}
    return pipe(
        prompts,
        image=[make_image(64, 96)] * 2 * len(prompts),
        guidance_scale=guidance,
        image_guidance_scale=1.5,
        num_inference_steps=2,
        num_images_per_prompt=2,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
        **options,
    ).images


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_maps_are_those_of_the_rows_with_text_and_image(pipe, guided):
    prompts, options = [CAT, OWL], {"guidance": 5.0 if guided else 1.0}
    watch = Reference(pipe.unet, GRIDS)
    untraced = watch.watch(lambda: draw(pipe, prompts, **options))
    with trace(pipe) as recording:
        images = draw(pipe, prompts, **options)
    assert torch.equal(images, untraced)
    expected = watch.maps(slice(0, 4))
    for row, maps in enumerate(recording.heat_maps()):
        assert maps.prompt == prompts[row // 2]
        assert maps.image_size == (64, 96)
        assert maps.provenance["guided"] is guided
        keys = [subword.position for subword in maps.subwords]
        np.testing.assert_allclose(maps.data, expected[row][keys], atol=1e-6)


def test_maps_of_the_negative_prompt_are_those_of_the_third_row(pipe):
    options = {"negative_prompt": ["the blue strawberry"] * 2}
    watch = Reference(pipe.unet, GRIDS)
    watch.watch(lambda: draw(pipe, [CAT, OWL], **options))
    with trace(pipe, negative=True) as recording:
        draw(pipe, [CAT, OWL], **options)
    expected = watch.maps(slice(8, 12))
    image_alone = watch.maps(slice(4, 8))
    for row, maps in enumerate(recording.heat_maps(negative=True)):
        assert maps.prompt == "the blue strawberry"
        keys = [subword.position for subword in maps.subwords]
        np.testing.assert_allclose(maps.data, expected[row][keys], atol=1e-6)
        assert not np.allclose(maps.data, image_alone[row][keys], atol=1e-4)


def test_texts_beside_the_prompts_need_an_encoding_of_their_own():
    pipe = MAKERS["sd"]()
    with pytest.raises(TraceError, match="trace without also"), trace(pipe, also="owl"):
        draw(pipe, [CAT])
