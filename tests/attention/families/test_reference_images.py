"""Pipelines that draw beside reference images, against a softmax by hand."""

import functools

import diffusers
import numpy as np
import pytest
import torch

from daam_syntax.attention import observe, trace, trace_image
from daam_syntax.attention.families.joint_attention import Z_IMAGE
from daam_syntax.attention.families.layouts import CallSizes
from daam_syntax.attention.families.packed_images import (
    PackedImages,
    after_text,
    images_of_ids,
    images_of_shapes,
)
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin
from helpers.editing_pipelines import EDITING, make_editing, small_images
from helpers.tracing import CAT, OWL

pipeline = functools.cache(make_editing)
each_case = pytest.mark.parametrize("case", EDITING, ids=lambda case: case.name)


def draw(case, *, guided=True, references=True, **options):
    prompts = [CAT, OWL][: case.prompts]
    guidance = {k: v[: len(prompts)] if isinstance(v, list) else v for k, v in case.guided.items()}
    arguments = dict(case.arguments) | (guidance if guided else dict(case.unguided))
    if references:
        arguments["image"] = case.images()
    with small_images():
        return pipeline(case.name)(
            prompt=prompts,
            height=case.size[0],
            width=case.size[1],
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(7),
            output_type="pt",
            **arguments,
            **options,
        ).images


def by_hand(case, watch, guided):
    """Return the mean attention of the prompts' rows, *shape* ``(row, query, key)``, and the number of text keys."""
    separate = guided and case.name != "Flux 2"  # guidance makes a second call of each step
    steps = watch.steps[::2] if separate else watch.steps
    n_text = watch.inputs[0]["encoder_hidden_states"].shape[1]
    return torch.stack([call.shares() for step in steps for call in step]).mean(dim=0), n_text


def parts(case, n_text, n_queries):
    """Return the grid and the queries of the image that is drawn and of each reference, which follow each other."""
    found, start = [], n_text
    for height, width in (case.size, *case.references):
        grid = (height // 16, width // 16)
        found.append((grid, slice(start, start := start + grid[0] * grid[1])))
    assert start == n_queries
    return found


def maps_by_hand(shares, grid, queries, maps):
    keys = [subword.position for subword in maps.subwords]
    return np.asarray(shares[queries][:, keys].T.reshape(-1, *grid))


@each_case
@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_maps_are_those_of_the_image_and_of_each_reference(case, guided):
    watch = CallsWithin(pipeline(case.name).transformer, r".*\.attn")
    untraced = watch.during(lambda: draw(case, guided=guided))
    with trace(pipeline(case.name), references=True) as recording:
        images = draw(case, guided=guided)
    assert torch.equal(images, untraced)
    shares, n_text = by_hand(case, watch, guided)
    target, *references = parts(case, n_text, shares.shape[1])
    assert target[0] not in [grid for grid, _ in references] or case.name.endswith("Plus")
    for row, maps in enumerate(recording.heat_maps()):
        assert maps.image_size == case.size == images.shape[-2:]
        expected = maps_by_hand(shares[row], *target, maps)
        np.testing.assert_allclose(maps.data, expected, atol=1e-6)
        assert "reference" not in maps.provenance
    for number, (size, place) in enumerate(zip(case.references, references, strict=True)):
        for row, maps in enumerate(recording.heat_maps(reference=number)):
            assert (maps.image_size, maps.grid) == (size, place[0])
            expected = maps_by_hand(shares[row], *place, maps)
            np.testing.assert_allclose(maps.data, expected, atol=1e-6)
            assert maps.provenance["reference"] == number


def test_layers_and_steps_of_references_are_kept():
    case = EDITING[0]
    with trace(pipeline(case.name)) as recording:
        draw(case)
    with trace(pipeline(case.name), references=True, keep=("step", "layer", "head")) as kept:
        draw(case)
    (plain, _), (maps, _) = recording.heat_maps(), kept.heat_maps(reference=0)
    assert maps.data.sizes == {
        "token": len(maps.subwords),
        "step": 2,
        "layer": 2,
        "head": 2,
        "y": 8,
        "x": 4,
    }
    with pytest.raises(TraceError, match="references=True"):
        recording.heat_maps(reference=0)
    with pytest.raises(TraceError, match="a reference image from 0 to 0, but got 1"):
        kept.heat_maps(reference=1)
    assert plain.grid == (4, 8)


def test_references_take_memory():
    case = EDITING[1]
    with trace(pipeline(case.name), references=True) as recording:
        draw(case)
    (call,) = recording._recorder.finished
    assert recording.predicted_bytes == call.n_bytes
    assert len(call.references) == 2
    assert all(each.sums.n_bytes for each in call.references)


def test_references_whose_keys_are_stored_are_refused():
    pipe = diffusers.Flux2KleinKVPipeline(**make_editing("Flux 2 klein").components)
    pipe.set_progress_bar_config(disable=True)
    with pytest.raises(TraceError, match=r"stores their keys.*use Flux2KleinPipeline"), trace(pipe):
        pipe(EDITING[2].images(), [CAT], height=64, width=128, num_inference_steps=1)


def test_a_trace_of_references_needs_references():
    case = EDITING[1]
    with (
        pytest.raises(TraceError, match=r"reference images.*without references=True"),
        trace(pipeline(case.name), references=True),
    ):
        draw(case, references=False)


def test_refined_maps_are_propagated_among_the_pixels_of_the_image():
    case = EDITING[0]
    watch = CallsWithin(pipeline(case.name).transformer, r".*\.attn")
    watch.during(lambda: draw(case))
    with trace(pipeline(case.name), refine=True) as recording:
        draw(case)
    shares, n_text = by_hand(case, watch, guided=True)
    grid, pixels = parts(case, n_text, shares.shape[1])[0]
    own = shares[0][pixels, pixels]
    maps = recording.heat_maps(refined=True)[0]
    words = maps_by_hand(shares[0], grid, pixels, maps).reshape(len(maps.subwords), -1)
    propagated = words @ np.asarray(own / own.sum(dim=1, keepdim=True)).T
    propagated -= propagated.min(axis=1, keepdims=True)
    np.testing.assert_allclose(maps.data, propagated.reshape(-1, *grid), atol=1e-6)


@pytest.mark.parametrize("name", ["Flux Kontext", "Qwen-Image-Edit"])
def test_given_images_need_a_pipeline_that_draws_from_text_alone(name):
    pixels = np.zeros((64, 128, 3))
    with pytest.raises(TraceError, match=r"use the text-to-image pipeline of its model"):
        trace_image(pipeline(name), pixels, CAT, timesteps=[500])
    if name == "Flux Kontext":
        own = diffusers.FluxPipeline.from_pipe(pipeline(name))
        assert trace_image(own, pixels, CAT, timesteps=[500]).image_size == (64, 128)


def test_a_given_image_for_which_memory_runs_out_is_not_taken_for_a_lack_of_references():
    pipe = pipeline("Flux 2 klein")  # draws with and without references

    def fail(module, inputs):
        raise torch.OutOfMemoryError

    handle = pipe.transformer.register_forward_pre_hook(fail)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            trace_image(pipe, np.zeros((64, 128, 3)), CAT, timesteps=[500])
    finally:
        handle.remove()


def test_z_image_with_references_is_refused():
    image = torch.zeros(4, 1, 8, 12)
    with pytest.raises(TraceError, match="one image for each row, but got 2"):
        Z_IMAGE.layout(CallSizes(64, 64, 10), {"x": [[image, image]]})


def test_attention_is_observed_from_the_pixels_of_the_image():
    case, seen = EDITING[0], []
    with observe(pipeline(case.name), seen.append):
        draw(case)
    assert {observed.grid for observed in seen} == {(4, 8)}
    assert all(pixels == slice(24, 56) for observed in seen for pixels in observed.pixels)


def ids(*images):
    """Return position ids ``(t, y, x)`` of images that are given as ``(t, height, width)``."""
    return torch.cat(
        [
            torch.cartesian_prod(torch.tensor([t]), torch.arange(height), torch.arange(width))
            for t, height, width in images
        ]
    ).float()


def test_images_of_ids():
    found = images_of_ids({"img_ids": ids((10, 2, 3), (0, 4, 5), (20, 1, 6))})
    assert found == PackedImages(((2, 3), (4, 5), (1, 6)), target=1)
    layout = after_text(CallSizes(queries=39, keys=39, text=7), found)
    assert (layout.pixels, layout.text) == (slice(13, 33), slice(0, 7))
    assert layout.references == (slice(7, 13), slice(33, 39))


def test_ids_in_16_bits_and_in_inference_mode():
    rounded = ids((0, 64, 96), (1, 96, 64)).to(torch.bfloat16)
    assert images_of_ids({"img_ids": rounded}) == PackedImages(((64, 96), (96, 64)), target=0)
    with torch.inference_mode():
        assert images_of_ids({"img_ids": ids((0, 4, 5))}).grid == (4, 5)


def test_ids_are_read_again_when_they_change_in_place():
    changing = ids((0, 4, 5))
    assert images_of_ids({"img_ids": changing}).grid == (4, 5)
    changing[:] = ids((0, 5, 4))
    assert images_of_ids({"img_ids": changing}).grid == (5, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        ids((1, 4, 5)),  # no image at time 0
        ids((0, 4, 5), (1, 2, 2), (0, 4, 5)),
        ids((0, 4, 5), (0, 4, 5)),  # frames, or two images at once
        ids((0, 4, 5))[:-1],  # part of an image
        ids((0, 5, 4)).flip(0),
        torch.stack([ids((0, 4, 5)), ids((0, 5, 4))]),  # other rows have another grid
    ],
)
def test_ids_that_number_no_image_are_refused(wrong):
    with pytest.raises(TraceError, match="register a Family"):
        images_of_ids({"img_ids": wrong})


def test_a_grid_that_fits_by_accident_is_refused():
    images = images_of_ids({"img_ids": ids((0, 4, 5))})
    with pytest.raises(TraceError, match=r"40 pixels among the queries.*4x5 cells, which are 20"):
        after_text(CallSizes(queries=47, keys=47, text=7), images)


def test_frames_and_layers_in_image_shapes_are_refused():
    with pytest.raises(TraceError, match="one frame each"):
        images_of_shapes({"img_shapes": [[(2, 4, 5)]]})
    layers = {"img_shapes": [[(1, 4, 5)] * 3], "additional_t_cond": torch.zeros(1)}
    with pytest.raises(TraceError, match="several layers"):
        images_of_shapes(layers)


@each_case
def test_the_prompt_as_another_text_has_its_ordinary_maps(case):
    untraced = draw(case)
    texts = [CAT, OWL][: case.prompts]
    with trace(pipeline(case.name), also=texts) as recording:
        assert torch.equal(draw(case), untraced)
    for row, ordinary in enumerate(recording.heat_maps()):
        maps = recording.heat_maps(of=texts[row])[row]
        np.testing.assert_allclose(maps.data, ordinary.data, atol=1e-6)
