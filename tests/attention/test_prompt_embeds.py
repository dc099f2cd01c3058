"""Pipelines that receive embeddings instead of prompts, for a trace that knows the text."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.errors import PromptError, TraceError
from helpers.attention_reference import CallsWithin, Reference
from helpers.family_cases import CASES
from helpers.family_runs import denoiser, keys_of, pipeline, reference
from helpers.family_runs import draw as draw_case
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, GRIDS, OWL, draw


def embeddings(pipe, prompts, negative=""):
    prompt_embeds, negative_embeds = pipe.encode_prompt(
        prompts, "cpu", 1, True, negative_prompt=[negative] * len(prompts)
    )
    return {"prompt_embeds": 1.1 * prompt_embeds, "negative_prompt_embeds": negative_embeds}


@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_maps_are_those_of_the_embeddings(sd, guidance):
    options = {"guidance": guidance, "num_images_per_prompt": 2, **embeddings(sd, [CAT, OWL])}
    watch = Reference(sd.unet, GRIDS)
    untraced = watch.watch(lambda: draw(sd, None, **options))
    with trace(sd, prompts=[CAT, OWL]) as recording:
        assert torch.equal(draw(sd, None, **options), untraced)
    maps = recording.heat_maps()
    assert [each.prompt for each in maps] == [CAT, CAT, OWL, OWL]
    expected = watch.maps(slice(4, 8) if guidance > 1 else slice(0, 4))
    for row, each in enumerate(maps):
        assert each.provenance["prompt_embeds"] is True
        np.testing.assert_allclose(each.data, expected[row, : len(each.subwords)], atol=1e-6)
    assert [word.subwords for word in maps[2].words] == [(1,), (2, 3), (4,), (5,), (6,)]


ARGUMENTS = {
    "SD3": ("prompt_embeds", None, "pooled_prompt_embeds", None),
    "Flux": ("prompt_embeds", "pooled_prompt_embeds"),
    "PixArt-sigma": ("prompt_embeds", "prompt_attention_mask"),
    "Lumina 2": ("prompt_embeds", "prompt_attention_mask"),
    "Qwen-Image": ("prompt_embeds", "prompt_embeds_mask"),
}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in ARGUMENTS], ids=lambda case: case.name
)
def test_other_families(case):
    pipe, prompts = pipeline(case.name), [OWL, CAT]
    known = {"max_sequence_length": case.arguments["max_sequence_length"]}
    if case.name == "SD3":
        known |= {"prompt_2": None, "prompt_3": None}
    if case.name == "Flux":
        known |= {"prompt_2": None}
    if "true_cfg_scale" not in case.unguided:
        known |= {"do_classifier_free_guidance": False}
    with torch.no_grad():
        result = pipe.encode_prompt(prompts, device="cpu", **known)
    given = {name: value for name, value in zip(ARGUMENTS[case.name], result, strict=False) if name}
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw_embedded(case, given))
    with trace(pipe, prompts=prompts) as recording:
        assert torch.equal(draw_embedded(case, given), untraced)
    maps = recording.heat_maps()
    expected = reference(case, watch, 2, maps[0].grid, guided=False).numpy()
    for row, each in enumerate(maps):
        assert each.prompt == prompts[row]
        by_hand = expected[row][:, keys_of(case, each)].T.reshape(-1, *each.grid)
        np.testing.assert_allclose(each.data, by_hand, atol=1e-6)


def draw_embedded(case, given):
    return draw_case(case, [], guided=False, prompt=None, **given)


def test_embeddings_that_do_not_match_are_refused(sd):
    one = embeddings(sd, [CAT])
    with pytest.raises(TraceError, match=r"prompt_embeds of the 2 prompts .* got 1 rows"):
        traced(sd, [CAT, OWL], **one)
    short = {name: each[:, :-1] for name, each in one.items()}
    with pytest.raises(TraceError, match=r"shape \(12, 16\) .* got \(11, 16\)"):
        traced(sd, CAT, **short)
    with pytest.raises(TraceError, match=r"name them with trace\(pipe, prompts"):
        traced(sd, (), **one)
    with pytest.raises(TraceError, match="only if the pipeline gets prompt_embeds"):
        traced(sd, CAT, OWL)
    with pytest.raises(PromptError):
        trace(sd, prompts=[" "])


def traced(pipe, prompts, prompt=None, **options):
    with trace(pipe, prompts=prompts):
        draw(pipe, prompt, **options)


def test_the_text_encoder_is_needed():
    pipe = make_sd()
    given = embeddings(pipe, [CAT])
    pipe.text_encoder = None
    with pytest.raises(TraceError, match="Load it with its text encoders"):
        traced(pipe, CAT, **given)


def test_negative_prompts_as_text_beside_embeddings(sd):
    given = {"prompt_embeds": embeddings(sd, [CAT])["prompt_embeds"], "negative_prompt": OWL}
    watch = Reference(sd.unet, GRIDS)
    untraced = watch.watch(lambda: draw(sd, None, **given))
    with trace(sd, prompts=CAT, negative=True) as recording:
        assert torch.equal(draw(sd, None, **given), untraced)
    (maps,) = recording.heat_maps(negative=True)
    kept = len(maps.subwords)
    np.testing.assert_allclose(maps.data, watch.maps(slice(0, 1))[0, :kept], atol=1e-6)
    assert recording.heat_maps()[0].prompt == CAT
