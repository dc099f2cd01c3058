"""Texts outside the prompt in joint attention: streams of their own that change nothing."""

import diffusers
import numpy as np
import pytest
import torch

from daam_syntax.attention import Edit, intervene, predict_memory, trace
from daam_syntax.errors import MemoryLimitError, TraceError
from helpers.attention_reference import CallsWithin, close
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import conditional, denoiser, draw, keys_of, pipeline
from helpers.joint_blocks import BlocksWithin, concept_attention, text_alone
from helpers.tiny_pipelines import as_pipeline
from helpers.tracing import CAT, OWL

JOINT = [case for case in CASES if case.keys.startswith("joint")]
FOIL = "a big strawberry"  # a word of two subwords
GRID = (4, 6)
CASE_OF = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", JOINT, ids=lambda case: case.name)
def test_the_prompt_itself_has_its_ordinary_maps(case):
    options = {"guided": False}
    untraced = draw(case, [CAT, OWL], **options)
    with trace(pipeline(case.name), also=[OWL, CAT]) as recording:
        assert torch.equal(draw(case, [CAT, OWL], **options), untraced)
    ordinary = recording.heat_maps()
    for row, text in enumerate([CAT, OWL]):
        maps = recording.heat_maps(of=text)
        assert maps[row].subwords == ordinary[row].subwords
        np.testing.assert_allclose(maps[row].data, ordinary[row].data, atol=1e-6)
        assert maps[row].provenance["drawn_from"] == text
    stranger = recording.heat_maps(of=OWL)[0]
    assert np.abs(stranger[1].values - ordinary[1][1].values).max() > 1e-4


def pixels_and_text(case, call, inputs, row):
    """Return the outputs of the pixels and of the text of one image, *shape* ``(head, token, feature)``."""
    outputs, n_pixels = call.outputs()[row], GRID[0] * GRID[1]
    if case.name == "Lumina 2":
        n_text = int(inputs["encoder_attention_mask"][row].sum())
        return outputs[:, n_text : n_text + n_pixels], outputs[:, :n_text]
    pixels, text = case.where(outputs.shape[1], n_pixels)
    return outputs[:, pixels : pixels + n_pixels], outputs[:, text:]


def in_order(maps):
    """Return values as ``(step, layer, head, pixel, token)``."""
    found = maps.data.transpose("step", "layer", "head", "y", "x", "token").values
    return found.reshape(*found.shape[:3], -1, found.shape[-1])


@pytest.mark.parametrize("case", JOINT, ids=lambda case: case.name)
def test_a_stream_is_that_of_blocks_computed_by_hand(case):
    """Attention to two texts, and outputs of a text and of the prompt, beside which nothing changes."""
    pipe, options = pipeline(case.name), {"steps": 2}
    watch, blocks = CallsWithin(denoiser(case), case.modules), BlocksWithin(denoiser(case))
    untraced = blocks.during(lambda: watch.during(lambda: draw(case, [CAT, OWL], **options)))
    text, mask = text_alone(case, pipe, lambda: draw(case, [FOIL], guided=False))

    def rows_of(number, n_rows):
        return conditional(case, number, n_rows, 2)

    concept = concept_attention(case, blocks, text, mask, GRID, rows_of, 2)
    kept = ("step", "layer", "head")
    with trace(pipe, also=["the dog", FOIL], outputs=True, keep=kept) as recording:
        assert torch.equal(draw(case, [CAT, OWL], **options), untraced)
    for image, maps in enumerate(recording.heat_maps(of=FOIL)):
        places = keys_of(case, maps)
        shares = [[part[image][..., places] for part, _ in made] for made in concept]
        expected = torch.stack([torch.stack(each) for each in shares])
        np.testing.assert_allclose(in_order(maps), expected, atol=1e-6)
    steps = [
        (calls, inputs, rows)
        for number, (calls, inputs) in enumerate(zip(watch.steps, watch.inputs, strict=True))
        if (rows := rows_of(number, len(calls[0].query))) is not None
    ]
    of_foil = recording.output_maps(of=FOIL)
    for image, own in enumerate(recording.output_maps()):
        assert own.provenance["kind"] == of_foil[image].kind == "output similarity"
        for maps in (own, of_foil[image]):
            places, expected = keys_of(case, maps), []
            for step, (calls, inputs, rows) in enumerate(steps):
                for layer, call in enumerate(calls):
                    row = range(len(call.query))[rows][image]
                    pixels, tokens = pixels_and_text(case, call, inputs, row)
                    if maps is not own:
                        tokens = concept[step][layer][1][image]
                    # The part of a head times their number, so that the mean is the dot product of all.
                    expected.append(len(pixels) * pixels @ tokens[:, places].transpose(1, 2))
            by_hand = torch.stack(expected).reshape(in_order(maps).shape)
            close(in_order(maps), by_hand)


def test_kept_axes_selections_and_memory():
    case = CASE_OF["Flux"]
    kept = {"keep": ("step", "layer", "head"), "steps": [1]}
    with trace(pipeline("Flux"), also=[FOIL], **kept) as recording:
        draw(case, [CAT], steps=3)
    (maps,) = recording.heat_maps(of=FOIL)
    assert maps.axes == kept["keep"]
    assert all(len(word.subwords) > 1 for word in maps.words[:2])
    (pipeline_call,) = recording._recorder.finished
    assert recording.predicted_bytes == pipeline_call.n_bytes
    options = {"num_inference_steps": 3, "height": 64, "width": 96, **case.arguments, **case.guided}
    assert (
        predict_memory(pipeline("Flux"), CAT, also=FOIL, **kept, **options) == pipeline_call.n_bytes
    )
    with (
        pytest.raises(MemoryLimitError),
        trace(pipeline("Flux"), also=[FOIL], max_bytes=pipeline_call.n_bytes - 1, **kept),
    ):
        draw(case, [CAT], steps=3)
    with trace(pipeline("Flux"), also=[FOIL]) as whole:
        draw(case, [CAT], steps=3)
    with trace(pipeline("Flux"), also=[FOIL], layers=["single"]) as later:
        draw(case, [CAT], steps=3)
    (all_layers,), (selected,) = whole.heat_maps(of=FOIL), later.heat_maps(of=FOIL)
    with trace(pipeline("Flux"), also=[FOIL], keep="layer") as by_layer:
        draw(case, [CAT], steps=3)
    (each,) = by_layer.heat_maps(of=FOIL)
    np.testing.assert_allclose(each.stack(), all_layers.stack(), atol=1e-6)
    # A layer that is not recorded carries the stream all the same.
    np.testing.assert_allclose(each.select(layers="single").stack(), selected.stack(), atol=1e-6)


def test_another_text_or_padding_changes_no_map_of_a_text():
    case = CASE_OF["Qwen-Image"]
    with trace(pipeline(case.name), also=[FOIL]) as alone:
        draw(case, [CAT, OWL])
    with trace(pipeline(case.name), also=["the dog", FOIL], padding=True) as beside:
        draw(case, [CAT, OWL])
    for one, other in zip(alone.heat_maps(of=FOIL), beside.heat_maps(of=FOIL), strict=True):
        np.testing.assert_allclose(one.stack(), other.stack(), atol=1e-7)


def test_other_observers_see_no_call_of_a_stream():
    case = CASE_OF["SD3"]
    edit = Edit("cat", scale=0)
    with intervene(pipeline("SD3"), edit):
        edited = draw(case, [CAT])
    for first_outside in (True, False):
        recording = trace(pipeline("SD3"), also=[CAT, FOIL])
        change = intervene(pipeline("SD3"), edit)
        outer, inner = (recording, change) if first_outside else (change, recording)
        with outer, inner:
            assert torch.equal(draw(case, [CAT]), edited)
        assert len(recording.heat_maps(of=FOIL)) == 1


def test_everything_is_restored():
    pipe = pipeline("Chroma")
    with pytest.raises(ZeroDivisionError), trace(pipe, also=[FOIL]):
        raise ZeroDivisionError
    with trace(pipe, also=[FOIL]):
        draw(CASE_OF["Chroma"], [CAT])
    hooks = [m._forward_pre_hooks or m._forward_hooks for m in pipe.transformer.modules()]
    assert not any(hooks)


def test_a_step_that_fails_leaves_no_stream():
    """A keyboard interrupt in the second layer, and the same call again."""
    pipe, case = pipeline("Flux"), CASE_OF["Flux"]
    with trace(pipe, also=[FOIL]) as expected:
        draw(case, [CAT])
    block = pipe.transformer.single_transformer_blocks[0]

    def interrupt(module, args):
        handle.remove()
        raise KeyboardInterrupt

    with trace(pipe, also=[FOIL]) as recording:
        handle = block.register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            draw(case, [CAT])
        draw(case, [CAT])
    np.testing.assert_array_equal(
        *(each.heat_maps(of=FOIL)[0].data for each in (expected, recording))
    )


def test_half_precision():
    case, pipe = CASE_OF["SD3"], make("SD3").to(torch.bfloat16)
    untraced = draw(case, [CAT, OWL], pipe=pipe)
    with trace(pipe, also=[CAT]) as recording:
        assert torch.equal(draw(case, [CAT, OWL], pipe=pipe), untraced)
    also, ordinary = recording.heat_maps(of=CAT)[0], recording.heat_maps()[0]
    np.testing.assert_allclose(also.data, ordinary.data, atol=2e-3)


def test_perturbed_attention_is_refused():
    pipe = as_pipeline(
        make("SD3"),
        diffusers.StableDiffusion3PAGPipeline,
        pag_applied_layers=["transformer_blocks.1"],
    )
    options = {"num_inference_steps": 1, "height": 64, "width": 64, "max_sequence_length": 24}
    with trace(pipe, also=[FOIL]) as recording:
        pipe(CAT, pag_scale=0, **options)
    assert len(recording.heat_maps(of=FOIL)) == 1
    with pytest.raises(TraceError, match="pag_scale=0"), trace(pipe, also=[FOIL]):
        pipe(CAT, pag_scale=3.0, **options)
