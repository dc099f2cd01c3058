"""Maps are of the text that the image is drawn from: embeddings that change are refused, weighted tokens are not."""

import warnings

import numpy as np
import pytest
import torch
from diffusers.callbacks import (
    SD3CFGCutoffCallback,
    SDCFGCutoffCallback,
    SDXLCFGCutoffCallback,
)

from daam_syntax.attention import observe, trace
from daam_syntax.attention.texts.drawn_text import DrawnTexts, Embedding
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin, Reference
from helpers.family_cases import CASES
from helpers.family_runs import conditional, denoiser, draw, keys_of, pipeline, reference
from helpers.tiny_pipelines import make_sd, make_sd3, make_sdxl
from helpers.tracing import CAT, GRIDS, OBLONG, OWL
from helpers.tracing import draw as draw_sd

BIRD = "a red owl"  # as many tokens as CAT
DOGS = "the blue owl"

each_family = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def text_of(case, prompt):
    """Return the embedded text of a prompt as the denoiser receives it."""
    watch = CallsWithin(denoiser(case), case.modules)
    watch.during(lambda: draw(case, [prompt], guided=False))
    text = watch.inputs[0][case.text]
    return text[0].clone()


class Changes:
    """Changes the embedded text of the prompts in a family's denoiser from the second step on."""

    def __init__(self, case, change):
        self.case, self.change, self.n_calls = case, change, 0

    def __enter__(self):
        self.handle = denoiser(self.case).register_forward_pre_hook(self._hook, with_kwargs=True)
        return self

    def __exit__(self, *_):
        self.handle.remove()

    def _hook(self, module, args, kwargs):
        case, index = self.case, self.n_calls
        self.n_calls += 1
        if case.name == "Z-Image":  # gets its arguments by position
            position = ["x", "t", "cap_feats"].index(case.text)
            args, kwargs = list(args), dict(kwargs)
            text = args[position]
        else:
            text = kwargs[case.text]
        rows = conditional(case, index, len(text), 1)
        if rows is None or index < (2 if case.calls == "first call" else 1):
            return None
        text = list(text) if isinstance(text, list) else text.clone()
        text[rows.start] = self.change(text[rows.start])
        if case.name == "Z-Image":
            args[position] = text
            return tuple(args), kwargs
        return args, kwargs | {case.text: text}


def untraced(case, change):
    watch = CallsWithin(denoiser(case), case.modules)
    with Changes(case, change):
        image = watch.during(lambda: draw(case, [CAT], steps=2))
    return watch, image


@each_family
def test_another_text_is_refused_and_the_remedy_works(case):
    other = text_of(case, BIRD)

    def exchange(text):
        return other

    match = r"step 1 .*drawn from the prompts 'a red cat'.*steps=slice\(0, 1\)"
    with (
        pytest.raises(TraceError, match=match),
        Changes(case, exchange),
        trace(pipeline(case.name)),
    ):
        draw(case, [CAT], steps=2)
    watch, image = untraced(case, exchange)
    with Changes(case, exchange), trace(pipeline(case.name), steps=slice(0, 1)) as recording:
        assert torch.equal(draw(case, [CAT], steps=2), image)
    (maps,) = recording.heat_maps()
    n_calls = 2 if case.calls == "first call" else 1
    del watch.steps[n_calls:], watch.inputs[n_calls:]
    check(case, watch, maps)


def check(case, watch, maps):
    expected = reference(case, watch, 1, maps.grid, guided=True)[0].numpy()
    by_hand = expected[:, keys_of(case, maps)].T.reshape(-1, *maps.grid)
    np.testing.assert_allclose(maps.data, by_hand, atol=1e-6)


@each_family
def test_weighted_tokens_stay_exact(case):
    def weight(text):
        factors = torch.ones(len(text), 1)
        factors[-3], factors[-2], factors[-1] = 1.7, 0.3, 0.0
        return text * factors

    watch, image = untraced(case, weight)
    with Changes(case, weight), trace(pipeline(case.name)) as recording:
        assert torch.equal(draw(case, [CAT], steps=2), image)
    (maps,) = recording.heat_maps()
    check(case, watch, maps)


@each_family
def test_a_text_that_is_switched_off_altogether_is_refused(case):
    with (
        pytest.raises(TraceError, match=r"step 1 .* neither of these nor of these with weighted"),
        Changes(case, torch.zeros_like),
        trace(pipeline(case.name)),
    ):
        draw(case, [CAT], steps=2)


def test_the_text_of_a_second_encoder_is_compared_too():
    case = next(each for each in CASES if each.name == "HunyuanDiT")
    name = "encoder_hidden_states_t5"

    def exchange(module, args, kwargs):
        return args, kwargs | {name: kwargs[name].flip(1)}

    handle = denoiser(case).register_forward_pre_hook(exchange, with_kwargs=True)
    try:
        with (
            pytest.raises(TraceError, match=r"step 0 .* neither of these"),
            trace(pipeline(case.name)),
        ):
            draw(case, [CAT])
    finally:
        handle.remove()


CUTOFF = {
    "sd": (make_sd, SDCFGCutoffCallback),
    "sdxl": (make_sdxl, SDXLCFGCutoffCallback),
    "sd3": (make_sd3, SD3CFGCutoffCallback),
}
UNETS = {"sd": make_sd, "sdxl": make_sdxl}


@pytest.mark.parametrize("name", UNETS)
def test_guidance_that_is_cut_off_stays_exact(name):
    make, callback = CUTOFF[name]
    pipe = make()
    options = {
        "steps": 3,
        "callback_on_step_end": callback(cutoff_step_ratio=None, cutoff_step_index=0),
    }
    watch = Reference(pipe.unet, GRIDS)
    image = watch.watch(lambda: draw_sd(pipe, OWL, **options))
    assert {len(call) for calls in watch.by_head.values() for call in calls} == {1, 2}
    with trace(pipe, layers=["up_blocks"]) as recording:
        assert torch.equal(draw_sd(pipe, OWL, **options), image)
    (maps,) = recording.heat_maps()
    for path in [path for path in watch.by_head if "up_blocks" not in path]:
        del watch.by_head[path]
    for calls in watch.by_head.values():
        calls[:] = [call[-1:] for call in calls]
    expected = watch.maps(slice(0, 1))[0]
    np.testing.assert_allclose(maps.data, expected[: len(maps.subwords)], atol=1e-6)
    assert maps.provenance["steps"] == 3


def test_joint_attention_whose_guidance_is_cut_off_stays_exact():
    pipe = make_sd3()
    callback = SD3CFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=0)
    options = {"steps": 3, "size": (64, 96), "callback_on_step_end": callback}
    calls = CallsWithin(pipe.transformer, r"transformer_blocks\.\d+\.attn")
    image = calls.during(lambda: draw_sd(pipe, OWL, **options))
    with trace(pipe) as recording:
        assert torch.equal(draw_sd(pipe, OWL, **options), image)
    (maps,) = recording.heat_maps()
    kept = len(maps.subwords)
    shares = torch.stack([call.shares()[-1] for step in calls.steps for call in step]).mean(0)
    by_hand = shares[:24, 24 : 24 + kept].T.reshape(kept, 4, 6)
    np.testing.assert_allclose(maps.data, by_hand, atol=1e-6)


def swap(*, in_place=False):
    """Return a callback that replaces the prompt's embeddings after the first step."""

    def callback(pipe, index, timestep, tensors):
        if index:
            return {}
        text = tensors["prompt_embeds"]
        known = {"do_classifier_free_guidance": False, "num_images_per_prompt": 1}
        if hasattr(pipe, "tokenizer_3"):
            known |= {"prompt_2": None, "prompt_3": None}
        other = pipe.encode_prompt(prompt=DOGS, device="cpu", **known)[0]
        changed = text if in_place else text.clone()
        changed[-1] = other[0]
        return {"prompt_embeds": changed}

    return {
        "callback_on_step_end": callback,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    }


@pytest.mark.parametrize(
    ("make", "guidance", "in_place"),
    [
        (make_sd, 5.0, False),
        (make_sd, 1.0, True),  # the pipeline then uses the very tensor that encode_prompt returned
        (make_sdxl, 5.0, True),
        (make_sd3, 1.0, True),
        (make_sd3, 5.0, False),
    ],
)
def test_a_text_that_the_pipeline_encoded_in_a_callback_is_named(make, guidance, in_place):
    pipe = make()
    options = {"guidance": guidance, "steps": 2, "size": (64, 96)} | swap(in_place=in_place)
    image = draw_sd(pipe, CAT, **options)
    match = r"step 1 .* 'a red cat', but .* embeddings that are of 'the blue owl'"
    with trace(pipe) as recording:
        with pytest.raises(TraceError, match=match):
            draw_sd(pipe, CAT, **options)
        draw_sd(pipe, OWL, guidance=guidance, size=(64, 96))
    assert [maps.prompt for maps in recording.heat_maps()] == [OWL]
    with trace(pipe, steps=slice(0, 1)) as recording:
        assert torch.equal(draw_sd(pipe, CAT, **options), image)
    (maps,) = recording.heat_maps()
    assert maps.prompt == CAT
    assert maps.provenance["steps"] == 2


def test_a_text_that_is_only_encoded_in_a_callback_changes_nothing():
    pipe = make_sd()

    def callback(pipe, index, timestep, tensors):
        pipe.encode_prompt(DOGS, "cpu", 1, False)
        return {}

    with trace(pipe) as recording:
        image = draw_sd(pipe, CAT, callback_on_step_end=callback)
    assert torch.equal(image, draw_sd(pipe, CAT))
    with trace(pipe) as plain:
        draw_sd(pipe, CAT)
    (maps,), (expected,) = recording.heat_maps(), plain.heat_maps()
    assert recording.n_unfinished == 0
    np.testing.assert_array_equal(maps.data, expected.data)


def test_an_observer_is_not_given_another_text():
    pipe = make_sd()
    seen = []
    with (
        pytest.raises(TraceError, match=r"step 1 .*: do not replace the text"),
        observe(pipe, lambda observed: seen.append(observed.step)),
    ):
        draw_sd(pipe, CAT, steps=3, **swap())
    assert set(seen) == {0, 1}


def test_negative_prompts_are_compared_too():
    pipe = make_sd()

    def callback(pipe, index, timestep, tensors):
        changed = tensors["prompt_embeds"].clone()
        changed[0] = pipe.encode_prompt(DOGS, "cpu", 1, False)[0][0]
        return {"prompt_embeds": changed}

    options = {
        "callback_on_step_end": callback,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
        "negative_prompt": BIRD,
    }
    with trace(pipe):  # whose maps are right, since only the other half changes
        draw_sd(pipe, CAT, **options)
    match = r"negative prompts 'a red owl', but .* of 'the blue owl'"
    with pytest.raises(TraceError, match=match), trace(pipe, negative=True):
        draw_sd(pipe, CAT, **options)


def weighted(pipe, prompt, weights, away_from=""):
    """Weight tokens as compel does: move their embeddings away from those of the empty text."""
    own, empty = (pipe.encode_prompt(text, "cpu", 1, False)[0] for text in (prompt, away_from))
    factors = torch.ones(own.shape[1], 1)
    for place, weight in weights.items():
        factors[place] = weight
    return empty + factors * (own - empty)


@pytest.mark.parametrize("weights", [{3: 1.5}, {2: 0.4, 3: 0.0}, {1: 1.3, 2: 1.3, 3: 1.3}])
def test_embeddings_with_weighted_tokens_are_those_of_the_text(weights):
    pipe = make_sd()
    given = {"prompt_embeds": weighted(pipe, CAT, weights), "guidance": 1.0, "size": OBLONG}
    watch = Reference(pipe.unet, GRIDS)
    image = watch.watch(lambda: draw_sd(pipe, None, **given))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with trace(pipe, prompts=CAT) as recording:
            assert torch.equal(draw_sd(pipe, None, **given), image)
    (maps,) = recording.heat_maps()
    expected = watch.maps(slice(0, 1))[0]
    np.testing.assert_allclose(maps.data, expected[: len(maps.subwords)], atol=1e-6)


@pytest.mark.parametrize("other", [DOGS, "", "the red owl and the cat"])
def test_embeddings_of_another_text_are_refused(other):
    pipe = make_sd()
    given = {"prompt_embeds": pipe.encode_prompt(other, "cpu", 1, False)[0], "guidance": 1.0}
    match = (
        r"prompt_embeds of 'a red cat'.* degrees away.*pass the trace the text that was embedded"
    )
    with pytest.raises(TraceError, match=match), trace(pipe, prompts=CAT):
        draw_sd(pipe, None, **given)
    if other:
        with trace(pipe, prompts=other) as recording:
            draw_sd(pipe, None, **given)
        assert recording.heat_maps()[0].prompt == other


def test_blends_of_two_texts_are_reported():
    pipe = make_sd()
    own, other = (pipe.encode_prompt(text, "cpu", 1, False)[0] for text in (CAT, DOGS))
    given = {"prompt_embeds": 0.8 * own + 0.2 * other, "guidance": 1.0}
    with pytest.warns(UserWarning, match=r"up to \d+ degrees away"), trace(pipe, prompts=CAT):
        draw_sd(pipe, None, **given)


def test_bfloat16_is_not_another_text():
    pipe = make_sd()
    text = pipe.encode_prompt(CAT, "cpu", 1, False)[0]
    rounded = text.bfloat16().float()
    scaled = (text.bfloat16() * 1.3).bfloat16().float()
    for given in (rounded, scaled):
        with trace(pipe, prompts=CAT):
            draw_sd(pipe, None, prompt_embeds=given, guidance=1.0)


def test_results_on_an_accelerator_are_read_only_at_the_end():
    text = torch.zeros(1, 3, 4, device="meta")  # has no values: reading one fails
    drawn = DrawnTexts()
    drawn.add(0, drawn.compare([text], [Embedding.of(text)]), is_negative=False)
    assert drawn.first_other(may_wait=False) is None
    with pytest.raises(NotImplementedError):
        drawn.first_other(may_wait=True)


def test_callbacks_of_pipelines_that_do_not_check_their_inputs():
    case = next(each for each in CASES if each.name == "Z-Image")
    pipe = pipeline(case.name)
    assert not hasattr(pipe, "check_inputs")

    def swap_list(pipe, index, timestep, tensors):
        return {"prompt_embeds": pipe.encode_prompt(BIRD, max_sequence_length=64)[0]}

    options = {
        "callback_on_step_end": swap_list,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
        "steps": 2,
    }
    with trace(pipe) as recording:
        with pytest.raises(TraceError, match=r"step 1 .* that are of 'a red owl'"):
            draw(case, [CAT], **options)
        draw(case, [OWL])
    assert [maps.prompt for maps in recording.heat_maps()] == [OWL]
