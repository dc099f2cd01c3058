"""Kolors: a tokenizer without offsets that writes tokens around the text and pads on the left, and an encoder whose
states have the tokens first."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import StateEdit, intervene, trace, trace_text
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin
from helpers.kolors import make_kolors

PROMPT = "the red cat and a red strawberry"
N_READ = 2 + 8  # two tokens before the text; "strawberry" is two


@pytest.fixture(scope="module")
def pipe():
    return make_kolors()


def draw(pipe, **options):
    return pipe(
        prompt=[PROMPT],
        height=64,
        width=96,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(1),
        output_type="pt",
        **options,
    ).images


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_maps_are_a_plain_softmax_at_the_end_of_the_sequence(pipe, guidance):
    watch = CallsWithin(pipe.unet, r".*attn2")
    untraced = watch.during(lambda: draw(pipe, guidance_scale=guidance))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, guidance_scale=guidance), untraced)
    (maps,) = recording.heat_maps()
    assert [each.position for each in maps.subwords] == list(range(256 - N_READ, 256))
    assert [len(word.subwords) for word in maps.words] == [1, 1, 1, 1, 1, 1, 2]
    spans = [PROMPT[each.start : each.end].strip() for each in maps.subwords[2:]]
    assert spans == ["the", "red", "cat", "and", "a", "red", "straw", "berry"]
    shares = torch.stack([call.shares()[-1] for calls in watch.steps for call in calls])
    expected = shares.mean(dim=0)[:, -N_READ:].T.reshape(maps.data.shape)
    np.testing.assert_allclose(maps.data, expected, atol=1e-6)


def test_states_at_the_output_are_edited_as_by_hand(pipe, monkeypatch):
    untouched = draw(pipe)
    with intervene(pipe, StateEdit((1, 6), by=(1, 6))):
        assert torch.equal(draw(pipe), untouched)
    with intervene(pipe, StateEdit(5, by=2)):
        edited = draw(pipe)
    original = type(pipe).encode_prompt

    def by_hand(*args, **options):
        result = original(pipe, *args, **options)
        result[0][0, -3] = result[0][0, -6]  # the second "red", and "cat"
        return result

    monkeypatch.setattr(pipe, "encode_prompt", by_hand)
    assert torch.equal(draw(pipe), edited)
    assert not torch.equal(edited, untouched)


def test_a_word_alone_is_the_same_in_all_contexts(pipe):
    def vectors(text):
        with torch.no_grad(), intervene(pipe, StateEdit(2, alone=True)):
            return pipe.encode_prompt([text], "cpu", 1, False)[0][0]

    one, other = vectors("the red cat"), vectors("the blue cat")
    torch.testing.assert_close(one[-1], other[-1], atol=1e-6, rtol=1e-5)
    assert (one[-2] - other[-2]).abs().max() > 1e-3


def test_the_encoder_is_traced_and_what_is_not_possible_is_refused(pipe):
    (attention,) = trace_text(pipe, PROMPT)
    assert len(attention.mapped) == 7
    rows = attention.among_words()
    assert (np.triu(rows, 1) == 0).all()  # it cannot look forward
    with (
        pytest.raises(TraceError, match="edit the vectors that the encoder returns, without"),
        intervene(pipe, StateEdit(1, by=2, layer=1)),
    ):
        draw(pipe)
    with pytest.raises(TraceError, match="transforms the text before its attentions"):
        trace(pipe, also=["a cat"])
