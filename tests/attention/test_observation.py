"""Observing attention calls: the probabilities are those of an independent softmax, and nothing changes."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

import daam_syntax as ds
from daam_syntax.attention import Edit, ObservedAttention, intervene, observe, trace
from daam_syntax.errors import TraceError, WordError
from daam_syntax.language import parse
from helpers.attention_reference import CallsWithin, Reference, softmax_by_head
from helpers.family_cases import CASES
from helpers.family_runs import conditional, denoiser, keys_of, pipeline
from helpers.family_runs import draw as draw_case
from helpers.tiny_pipelines import TEXT_LENGTH, make_sd3
from helpers.tracing import CAT, FULL, GRIDS, LONG, OWL, draw


def observed_calls(pipe, prompts, *, self_attention=False, **options):
    """Return what a callback gets, with the probabilities of every image."""
    calls = []

    def keep(observed):
        numbers = [observed.probabilities(image) for image in range(observed.n_images)]
        calls.append((observed, numbers))

    with observe(pipe, keep, self_attention=self_attention):
        images = draw(pipe, prompts, **options)
    return images, calls


@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_probabilities_are_those_of_a_plain_softmax(pipe, guidance):
    options = {"guidance": guidance, "num_images_per_prompt": 2}
    reference = Reference(pipe.unet, GRIDS)
    unobserved = reference.watch(lambda: draw(pipe, [CAT, OWL], **options))
    images, calls = observed_calls(pipe, [CAT, OWL], **options)
    assert torch.equal(images, unobserved)
    first = 4 if guidance > 1 else 0
    assert len(calls) == sum(len(steps) for steps in reference.by_head.values())
    for observed, numbers in calls:
        expected = reference.by_head[observed.path][observed.step]
        n_pixels = expected.shape[-2]
        assert observed.grid == GRIDS[n_pixels]
        assert observed.rows == tuple(range(first, first + 4))
        assert observed.pixels == (slice(0, n_pixels),) * 4
        assert observed.text == (slice(0, TEXT_LENGTH),) * 4
        assert observed.prompts == (CAT, OWL)
        assert [observed.prompt_index(image) for image in range(4)] == [0, 0, 1, 1]
        for image, probabilities in enumerate(numbers):
            assert probabilities.dtype == torch.float32
            np.testing.assert_allclose(probabilities, expected[first + image], atol=1e-6)
        part = observed.probabilities(1, queries=slice(2, 5))
        np.testing.assert_allclose(part, numbers[1][:, 2:5], atol=1e-6)


def test_steps_and_timesteps(sd):
    _, calls = observed_calls(sd, CAT, steps=3)
    found = {(each.step, each.progress, each.timestep) for each, _ in calls}
    assert sorted(found) == [(0, 0.0, 667.0), (1, 1 / 3, 334.0), (2, 2 / 3, 1.0)]


def test_keys_of_words_and_kinds_of_tokens(pipe):
    """OWL has a word of two subwords and a repeated word; LONG is cut off, and leaves no padding."""
    _, calls = observed_calls(pipe, [OWL, LONG], steps=1)
    observed, _ = calls[0]
    assert [observed.word_keys(0, word) for word in range(5)] == [[1], [2, 3], [4], [5], [6]]
    assert observed.word_keys(0, "strawberry") == [2, 3]
    kinds = {kind: observed.kind_keys(0, kind) for kind in ("start", "text", "end", "padding")}
    assert kinds == {
        "start": [0],
        "text": [1, 2, 3, 4, 5, 6],
        "end": [7],
        "padding": list(range(8, TEXT_LENGTH)),
    }
    assert observed.kind_keys(0, "template") == []
    assert observed.word_keys(1, 1) == [2]
    assert observed.word_keys(1, 13) == []
    assert observed.kind_keys(1, "padding") == []
    with pytest.raises(WordError):
        observed.word_keys(0, "the")  # twice in OWL
    with pytest.raises(WordError):
        observed.word_keys(0, 9)
    with pytest.raises(ValueError, match="'padding', but got 'word'"):
        observed.kind_keys(0, "word")
    with pytest.raises(ValueError, match=r"number of an image from 0 to 1, but got 2"):
        observed.word_keys(2, 0)


def test_sums_over_words_are_what_a_trace_records(sd):
    """Both are open at once; FULL leaves no padding, so all keys are recorded."""
    sums = []

    def add(observed):
        sums.append(observed.probabilities(0).mean(0))

    unobserved = draw(sd, FULL, size=(64, 64))
    with trace(sd, layers="mid_block") as recording, observe(sd, add):
        assert torch.equal(draw(sd, FULL, size=(64, 64)), unobserved)
    (maps,) = recording.heat_maps()
    mean = torch.stack([each for each in sums if len(each) == 4]).mean(0)
    np.testing.assert_allclose(maps.data, mean.T.reshape(-1, 2, 2), atol=1e-6)


def test_self_attention_on_request(sd):
    expected = {}
    selves = [path for path, _ in sd.unet.named_modules() if path.endswith("attn1")]

    def watch(path):
        def hook(module, args, kwargs):
            with torch.no_grad():
                expected.setdefault(path, []).append(softmax_by_head(module, args[0], args[0]))

        return sd.unet.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True)

    handles = [watch(path) for path in selves]
    unobserved = draw(sd, CAT)
    for handle in handles:
        handle.remove()
    images, calls = observed_calls(sd, CAT, self_attention=True)
    assert torch.equal(images, unobserved)
    found = [(each, numbers) for each, numbers in calls if each.path in expected]
    assert len(found) == 2 * len(selves)
    for observed, (probabilities,) in found:
        assert (observed.grid, observed.pixels, observed.text) == (None, (), ())
        by_head = expected[observed.path][observed.step]
        np.testing.assert_allclose(probabilities, by_head[observed.rows[0]], atol=1e-6)
    with pytest.raises(TraceError, match="attn1 does not attend to the text"):
        found[0][0].word_keys(0, 0)
    assert any(each.grid is not None for each, _ in calls)


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
def test_joint_attention(guidance):
    pipe = make_sd3()
    options = {
        "size": (64, 96),
        "steps": 1,
        "guidance": guidance,
        "max_sequence_length": 20,
    }
    watch = CallsWithin(pipe.transformer, r"transformer_blocks\.\d+\.attn")
    unobserved = watch.during(lambda: draw(pipe, OWL, **options))
    images, calls = observed_calls(pipe, OWL, **options)
    assert torch.equal(images, unobserved)
    with trace(pipe) as recording:
        draw(pipe, OWL, **options)
    (maps,) = recording.heat_maps()
    for (observed, (probabilities,)), call in zip(calls, watch.steps[0], strict=True):
        assert observed.grid == (4, 6)
        assert observed.pixels == (slice(0, 24),)
        assert observed.text[0].start == 24
        expected = call.shares()[observed.rows[0]]
        np.testing.assert_allclose(probabilities.mean(0), expected, atol=1e-6)
    for word, aligned in enumerate(maps.words):
        keys = [24 + maps.subwords[row].position for row in aligned.subwords]
        assert calls[0][0].word_keys(0, word) == keys


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in ("Flux", "Lumina 2", "HunyuanDiT")],
    ids=lambda case: case.name,
)
def test_other_families(case, guided):
    """One calls the denoiser twice per step, one lays out each row differently, and one has two text encoders."""
    prompts = [OWL, CAT]
    watch = CallsWithin(denoiser(case), case.modules)
    unobserved = watch.during(lambda: draw_case(case, prompts, guided=guided))
    seen = []

    def keep(observed):
        numbers = [observed.probabilities(image).mean(0) for image in range(2)]
        words = [[observed.word_keys(image, index) for index in range(3)] for image in range(2)]
        seen.append((observed, numbers, words))

    with trace(pipeline(case.name)) as recording, observe(pipeline(case.name), keep):
        assert torch.equal(draw_case(case, prompts, guided=guided), unobserved)
    maps = recording.heat_maps()
    expected = []
    for index, calls in enumerate(watch.steps):
        n_rows = len(calls[0].query)
        rows = conditional(case, index, n_rows, 2) if guided else slice(0, 2)
        expected += [(rows, call) for call in calls if rows is not None]
    for (observed, numbers, words), (rows, call) in zip(seen, expected, strict=True):
        assert observed.rows == tuple(range(rows.start, rows.stop))
        by_hand = call.shares()[rows]
        for image, each in enumerate(maps):
            np.testing.assert_allclose(numbers[image], by_hand[image], atol=1e-6)
            keys = keys_of(case, each)
            start = observed.text[image].start
            assert words[image] == [
                [start + keys[row] for row in word.subwords] for word in each.words[:3]
            ]


def test_a_sentence_that_is_given_is_used(sd, monkeypatch):
    def refuse(*_):
        raise AssertionError("the prompt was parsed")

    monkeypatch.setattr("daam_syntax.attention.texts.sentences.parse_many", refuse)
    keys = []
    with observe(sd, lambda each: keys.append(each.word_keys(0, "cat")), sentences=parse(CAT)):
        draw(sd, CAT, steps=1)
    assert keys == [[3]] * 7
    with observe(sd, lambda each: keys.append(each.kind_keys(0, "start"))):
        draw(sd, CAT, steps=1)  # needs no parse


def test_an_intervention_does_not_change_what_is_observed(sd):
    """The first text attention: its queries and keys come before any edit takes effect."""
    first = []
    edit = Edit(tokens=("start",))
    with observe(sd, lambda each: first.append(each.probabilities(0))):
        draw(sd, CAT, steps=1)
    n = len(first)
    with intervene(sd, edit):
        edited = draw(sd, CAT, steps=1)
    with intervene(sd, edit), observe(sd, lambda each: first.append(each.probabilities(0))):
        assert torch.equal(draw(sd, CAT, steps=1), edited)
    assert torch.equal(first[0], first[n])
    assert not torch.equal(first[n - 1], first[-1])


def test_several_observations_and_pipeline_calls(sd):
    prompts = []
    with observe(sd, lambda each: prompts.append(each.prompts)):
        with observe(sd, lambda each: prompts.append(each.prompts)):
            draw(sd, CAT, steps=1)
        draw(sd, OWL, steps=1)
    assert prompts == [(CAT,)] * 14 + [(OWL,)] * 7


def test_the_model_is_restored_after_an_error_in_the_callback(sd):
    untouched = draw(sd, CAT)
    before = {path: len(m._forward_hooks) for path, m in sd.unet.named_modules()}
    attributes = set(vars(sd))

    def fail(observed):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), observe(sd, fail):
        draw(sd, CAT)
    assert {path: len(m._forward_hooks) for path, m in sd.unet.named_modules()} == before
    assert set(vars(sd)) == attributes
    assert _get_current_function_mode_stack() == []
    assert torch.equal(draw(sd, CAT), untouched)


def test_it_is_public_and_frozen(sd):
    assert ds.observe is observe
    _, calls = observed_calls(sd, CAT, steps=1)
    observed, _ = calls[0]
    assert isinstance(observed, ObservedAttention)
    assert "query" not in repr(observed)
    with pytest.raises(dataclasses.FrozenInstanceError):
        observed.step = 3
    with trace(sd) as recording, observe(sd, lambda each: None):
        draw(sd, CAT, steps=1)
    assert "intervention" not in recording.heat_maps()[0].provenance
