"""Edits of the text's states in every family of models: the right vectors, and a word alone knows no other word."""

import pytest
import torch

from daam_syntax.attention import StateEdit, family_of, intervene, trace
from daam_syntax.attention.text_encoders.calls import encode_arguments
from daam_syntax.errors import TraceError
from helpers.family_cases import CASES
from helpers.family_pipelines import make_kandinsky_3
from helpers.family_runs import draw, keys_of, pipeline, traced
from helpers.tracing import OWL

CASE = {case.name: case for case in CASES}
TWO = [OWL, "a red cat"]
# Each has another text encoder, or reaches it in another way: see tests/attention/test_text_tracing.py.
ENCODERS = [
    *("Sana", "HunyuanDiT", "PRX", "SD3", "AuraFlow", "Flux 2 klein", "Qwen-Image", "CogView4"),
    *("Lumina 2", "Z-Image", "Lumina-Next"),
]


def encoded(name, prompts, edit=None):
    """Return what the calls of `encode_prompt` return for the prompts, in 64 bits: rows of vectors."""
    pipe, case = pipeline(name), CASE[name]
    options = {k: v for k, v in case.arguments.items() if k == "max_sequence_length"}
    with torch.no_grad(), intervene(pipe, edit or []):
        return [
            [row.double() for row in pipe.encode_prompt(**arguments)[0]]
            for arguments in encode_arguments(pipe, family_of(pipe), list(prompts), options)
        ]


def changed(name, edit, prompts=(OWL,)):
    """Return the positions of the vectors of the first prompt that an edit changes, for each call."""
    pairs = zip(encoded(name, prompts), encoded(name, prompts, edit), strict=True)
    return [
        [p for p in range(len(one[0])) if not torch.equal(one[0][p], other[0][p])]
        for one, other in pairs
    ]


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_word_replaced_by_itself_changes_no_bit_and_another_is_replaced_as_by_hand(
    case, guided, monkeypatch
):
    """Two prompts of different lengths, if the pipeline can draw them, in an image that is not square."""
    pipe = pipeline(case.name)
    prompts = TWO[: 1 if case.images == 1 else 2]
    untouched, found = traced(case, prompts, guided=guided)
    same = [StateEdit((1, 3), by=(1, 3), images=(0,)), StateEdit(1, by=1, layer=1, images=(0,))]
    with intervene(pipe, same):
        assert torch.equal(draw(case, prompts, guided=guided), untouched)
    with intervene(pipe, StateEdit(3, by=0, images=(0,))):
        result = draw(case, prompts, guided=guided)
    # "the" is one token in each encoder; its keys are those of the encoders, one after the other.
    keys = keys_of(case, found[0])
    first, second = ([keys[row] for row in found[0].words[word].subwords] for word in (0, 3))
    calls, original = [], type(pipe).encode_prompt

    def by_hand(*args, **options):
        result = original(pipe, *args, **options)
        start = sum(calls) if case.name == "HunyuanDiT" else 0
        calls.append(len(result[0][0]))
        if start or len(calls) == 1:
            for here, there in zip(second, first, strict=True):
                if start <= here < start + calls[-1]:
                    result[0][0][here - start] = result[0][0][there - start]
        return result

    monkeypatch.setattr(pipe, "encode_prompt", by_hand)
    assert torch.equal(draw(case, prompts, guided=guided), result)
    assert not torch.equal(result[0], untouched[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_word_alone_is_the_same_in_all_contexts(name):
    """As many tokens stand at each place, so only the words that are hidden differ."""
    contexts = ["the red owl", "the blue owl"]
    edit = StateEdit("owl", alone=True)
    apart = [encoded(name, [text], edit) for text in contexts]
    with_context = [encoded(name, [text]) for text in contexts]
    own = changed(name, StateEdit("owl", by="the"), contexts[:1])
    for call, positions in enumerate(own):
        one, other = (found[call][0][positions] for found in apart)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        one, other = (found[call][0][positions] for found in with_context)
        assert not torch.allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_edit_at_the_output_changes_the_word_alone_and_one_inside_what_reads_it(name):
    (own, *_) = changed(name, StateEdit(4, context="the red owl"))
    (inside, *_) = changed(name, StateEdit(4, context="the red owl", layer=1))
    assert own[:1] == inside[:1] or name in ("HunyuanDiT", "PRX", "AuraFlow")
    assert set(own) <= set(inside)
    assert len(own) == (2 if name == "SD3" else 1)


def test_a_chosen_encoder_of_three():
    everything = changed("SD3", StateEdit(4, by=0))
    parts = {
        encoder: changed("SD3", StateEdit(4, by=0, encoders=encoder))
        for encoder in ("text_encoder", "text_encoder_2", "text_encoder_3")
    }
    clip, t5 = everything[0]
    assert parts == {"text_encoder": [[clip]], "text_encoder_2": [[clip]], "text_encoder_3": [[t5]]}


@pytest.mark.parametrize("layer", [None, 1])
def test_an_encoder_without_padding(layer):
    with pytest.raises(TraceError, match=r"text_encoder has none.*alone=True, or another.*by="):
        changed("Qwen-Image", StateEdit("owl", padding=True, layer=layer))
    assert any(changed("Qwen-Image", StateEdit("owl", alone=True, layer=layer or None)))
    assert any(changed("Qwen-Image", StateEdit("owl", by="and", layer=layer)))


def test_a_model_that_cuts_padding_off():
    pipe = make_kandinsky_3()
    options = {"height": 64, "width": 64, "num_inference_steps": 1, "output_type": "pt"}

    def image(*edits):
        with intervene(pipe, edits), trace(pipe):
            return pipe(OWL, generator=torch.Generator().manual_seed(0), **options).images

    untouched = image()
    assert torch.equal(image(StateEdit(1, by=1), StateEdit(1, by=1, layer=1)), untouched)
    assert not torch.equal(image(StateEdit("owl", padding=True)), untouched)
