"""Maps of the negative prompt's words, in the unconditional rows of guidance."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import Reference
from helpers.family_pipelines import make
from helpers.tracing import CAT, GRIDS, OWL, draw

NEGATIVE = "the strawberry and the blue cat"  # a word of two subwords, and a repeated word
OTHER = "blue"


@pytest.mark.parametrize(
    ("prompts", "negative"),
    [(OWL, NEGATIVE), ([CAT, OWL], [NEGATIVE, OTHER])],
    ids=["one", "two"],
)
def test_each_half_has_the_maps_of_its_own_text(pipe, prompts, negative):
    options = {"num_images_per_prompt": 2, "negative_prompt": negative}
    reference = Reference(pipe.unet, GRIDS)
    untraced = reference.watch(lambda: draw(pipe, prompts, **options))
    with trace(pipe, negative=True) as recording:
        assert torch.equal(draw(pipe, prompts, **options), untraced)
    if isinstance(prompts, str):
        prompts, negative = [prompts], [negative]
    n = 2 * len(prompts)
    for halves, rows, texts in (
        (recording.heat_maps(negative=True), slice(0, n), negative),
        (recording.heat_maps(), slice(n, 2 * n), prompts),
    ):
        expected = reference.maps(rows)
        assert [maps.prompt for maps in halves] == list(np.repeat(texts, 2))
        for row, maps in enumerate(halves):
            np.testing.assert_allclose(maps.data, expected[row, : len(maps.subwords)], atol=1e-6)
    (first, *_) = recording.heat_maps(negative=True)
    assert first.provenance["drawn_from"] == prompts[0]
    assert first.provenance["half"].startswith("unconditional")
    assert "half" not in recording.heat_maps()[0].provenance
    rows = np.asarray(first.data)
    np.testing.assert_allclose(first[1].values, rows[2:4].mean(axis=0), atol=1e-7)


def test_axes_steps_and_memory(pipe):
    options = {"negative_prompt": NEGATIVE}
    with trace(pipe, negative=True, keep=("step", "head"), steps=[1], layers=["5x7"]) as recording:
        draw(pipe, CAT, steps=3, **options)
    (kept,) = recording.heat_maps(negative=True)
    assert kept.axes == ("step", "head")
    with trace(pipe, negative=True, steps=[1], layers=["5x7"]) as recording:
        draw(pipe, CAT, steps=3, **options)
    (mean,) = recording.heat_maps(negative=True)
    np.testing.assert_allclose(kept.stack(), mean.stack(), atol=1e-6)
    (pipeline_call,) = recording._recorder.finished
    assert recording.predicted_bytes == pipeline_call.n_bytes
    assert pipeline_call.n_tokens == len(mean.subwords) + 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "runs without a negative prompt in words"),
        ({"negative_prompt": " "}, "negative prompts with words"),
        ({"negative_prompt": NEGATIVE, "guidance": 1.0}, "runs without"),
    ],
)
def test_calls_without_rows_of_a_negative_prompt_are_refused(pipe, options, message):
    with pytest.raises(TraceError, match=message), trace(pipe, negative=True):
        draw(pipe, CAT, **options)


def test_maps_that_were_not_traced_are_refused(pipe):
    with trace(pipe, negative=True, also=[OWL]) as recording:
        draw(pipe, CAT, negative_prompt=CAT)  # the same text in both halves
    assert recording.heat_maps(negative=True)[0].prompt == CAT
    with pytest.raises(TraceError, match="negative=True alone"):
        recording.heat_maps(negative=True, of=OWL)
    with trace(pipe) as plain:
        draw(pipe, CAT, negative_prompt=NEGATIVE)
    with pytest.raises(TraceError, match="trace with negative=True"):
        plain.heat_maps(negative=True)


def test_equal_texts_are_distinguished_by_their_calls():
    pipe = make("Chroma")
    options = {"max_sequence_length": 24, "negative_prompt": CAT, "size": (64, 96)}
    with trace(pipe, negative=True) as recording:
        draw(pipe, CAT, steps=2, **options)
    (prompt,), (negative,) = recording.heat_maps(), recording.heat_maps(negative=True)
    assert prompt.provenance["steps"] == 2
    np.testing.assert_allclose(prompt.data, negative.data, atol=1e-7)


def test_equal_copies_cannot_be_distinguished():
    pipe = make("Chroma")
    options = {"max_sequence_length": 24, "negative_prompt": CAT, "size": (64, 96)}

    def copied(module, args, kwargs):
        text = kwargs["encoder_hidden_states"].clone()
        return args, kwargs | {"encoder_hidden_states": text}

    pipe.transformer.register_forward_pre_hook(copied, with_kwargs=True)
    with (
        pytest.raises(TraceError, match="all rows have the text of the prompt"),
        trace(pipe, negative=True),
    ):
        draw(pipe, CAT, steps=1, **options)
