"""Texts outside the prompt in joint attention: streams of their own that change nothing."""

import diffusers
import numpy as np
import pytest
import torch

from daam_syntax.attention import Edit, intervene, predict_memory, trace
from daam_syntax.errors import MemoryLimitError, TraceError
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import conditional, draw, keys_of, pipeline
from helpers.joint_blocks import BlocksWithin, concept_attention, text_alone
from helpers.tiny_pipelines import as_pipeline
from helpers.tracing import CAT, OWL

JOINT = [case for case in CASES if case.keys.startswith("joint")]
FOIL = "a big strawberry"  # a word of two subwords
CASE_OF = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", JOINT, ids=lambda case: case.name)
def test_the_prompt_itself_has_its_ordinary_maps(case):
    options = {"guided": False, "steps": 2}
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


@pytest.mark.parametrize("case", JOINT, ids=lambda case: case.name)
def test_a_stream_is_that_of_blocks_computed_by_hand(case):
    pipe, grid = pipeline(case.name), (4, 6)
    watch = BlocksWithin(pipe.transformer)
    options = {"steps": 2, "per_prompt": 2}
    untraced = watch.during(lambda: draw(case, [CAT, OWL], **options))
    steps = concept_attention(
        case,
        watch,
        *text_alone(case, pipe, lambda: draw(case, [FOIL], guided=False)),
        grid,
        lambda number, n_rows: conditional(case, number, n_rows, 4),
        4,
    )
    with trace(pipe, also=["the dog", FOIL], keep=("step", "layer", "head")) as recording:
        assert torch.equal(draw(case, [CAT, OWL], **options), untraced)
    assert len(steps) == 2
    for image, maps in enumerate(recording.heat_maps(of=FOIL)):
        places = keys_of(case, maps)
        shares = [[part[image][..., places] for part, _ in blocks] for blocks in steps]
        expected = torch.stack([torch.stack(each) for each in shares])  # step, layer, head, pixel
        found = maps.data.transpose("step", "layer", "head", "y", "x", "token").values
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)


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
