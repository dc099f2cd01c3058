"""What cannot be known to be right is refused before the first step, and the remedies work."""

import functools
import types

import diffusers
import pytest
import torch

from daam_syntax.attention import Edit, StateEdit, families, family_of, intervene, trace
from daam_syntax.attention.edits.positions import positions_of
from daam_syntax.attention.texts.token_spans import TokenizedPrompt
from daam_syntax.errors import TraceError, WordError
from daam_syntax.language import parse
from daam_syntax.maps import Subword
from helpers.family_pipelines import make
from helpers.tiny_pipelines import as_pipeline, make_sd
from helpers.tracing import LONG, OWL, draw, make_image

EDIT = StateEdit("owl", by="and")


def edited(pipe, edit=EDIT, prompt=OWL, **options):
    with intervene(pipe, edit):
        return draw(pipe, prompt, steps=1, **options)


def test_embeddings_given_by_hand(sd):
    with torch.no_grad():
        embedded = sd.encode_prompt(OWL, "cpu", 1, False)[0]
    with pytest.raises(TraceError, match=r"pass prompt=... instead"):
        edited(sd, prompt=None, prompt_embeds=embedded)
    with (
        pytest.raises(TraceError, match=r"pass prompt=... instead"),
        intervene(sd, EDIT),
        trace(sd, prompts=OWL),
    ):
        draw(sd, None, prompt_embeds=embedded, steps=1)
    edited(sd)


def test_prompts_that_a_cache_encodes(sd):
    """A cache returns embeddings of earlier calls, and no tokenizer runs."""
    cached = functools.cache(types.MethodType(type(sd).encode_prompt, sd))
    untouched = draw(sd, OWL, steps=1)
    sd.encode_prompt = cached
    try:
        assert torch.equal(draw(sd, OWL, steps=1), untouched)
        with pytest.raises(TraceError, match=r"call its tokenizer.*switch off what keeps"):
            edited(sd)
    finally:
        del sd.encode_prompt
    assert not torch.equal(edited(sd), untouched)


def test_another_text_for_some_encoders(sdxl):
    with pytest.raises(TraceError, match="another text, prompt_2: leave it out"):
        edited(sdxl, prompt_2="a red cat")
    edited(sdxl, prompt_2=OWL)
    edited(sdxl)


def test_textual_inversions():
    pipe = make_sd()
    vectors = {"<zebra>": torch.randn(2, 16)}
    pipe.load_textual_inversion(vectors, token="<zebra>")
    for edit, prompt in (
        (StateEdit("owl", padding=True), "the <zebra> and the owl"),
        (StateEdit("owl", context="an owl and a <zebra>"), OWL),
    ):
        with pytest.raises(TraceError, match=r"'<zebra>' in .* is a textual inversion.*Edit"):
            edited(pipe, edit, prompt)
    edited(pipe, StateEdit("owl", padding=True))
    edited(pipe, Edit("owl"), "the <zebra> and the owl")


def test_prompts_that_are_encoded_with_negative_prompts_at_once():
    pipe = as_pipeline(make_sd(in_channels=8), diffusers.StableDiffusionInstructPix2PixPipeline)
    with pytest.raises(TraceError, match=r"with its negative prompts at once.*Edit\(\.\.\.\)"):
        intervene(pipe, EDIT)
    with intervene(pipe, Edit("owl")):
        pipe(OWL, image=make_image(64, 64), num_inference_steps=1, output_type="pt")


def test_pipelines_whose_encoders_are_not_described(sd, monkeypatch):
    described = family_of(sd)
    monkeypatch.setattr(
        families.registry, "FAMILIES", [each for each in families.FAMILIES if each.name != "UNet"]
    )
    with pytest.raises(TraceError, match="register a Family that names its encoders"):
        intervene(sd, EDIT)
    edited(sd, Edit("owl"))
    families.registry.FAMILIES.append(described)
    edited(sd)


def test_pipelines_without_text_encoders():
    pipe = make_sd()
    pipe.text_encoder = None
    with pytest.raises(TraceError, match="load the pipeline with its text encoders"):
        intervene(pipe, EDIT)


def test_a_block_whose_output_the_pipeline_does_not_read(sdxl):
    """SDXL reads the states before the last block."""
    with pytest.raises(TraceError, match=r"changed nothing.*an earlier layer=, or leave it out"):
        edited(sdxl, StateEdit("owl", by="and", layer=-1))
    edited(sdxl, StateEdit("owl", by="and", layer=-2))
    edited(sdxl)


def test_a_word_that_an_encoder_does_not_read():
    pipe = make("SD3")
    edit = StateEdit(13, padding=True)

    def drawn(edit):
        with intervene(pipe, edit):
            pipe(LONG, height=64, width=64, num_inference_steps=1, max_sequence_length=24)

    with pytest.raises(
        WordError, match=r"'strawberry' \(index 13\).*truncated.*encoders=\(\.\.\.\)"
    ):
        drawn(edit)
    drawn(StateEdit(13, padding=True, encoders=("text_encoder_3",)))


def test_rows_that_are_repeated_after_encoding():
    pipe, options = make("Z-Image"), {"height": 64, "width": 64, "num_inference_steps": 1}

    def drawn(edit, n):
        with intervene(pipe, edit):
            pipe(OWL, num_images_per_prompt=n, max_sequence_length=64, **options)

    with pytest.raises(TraceError, match=r"for each of the 2 images.*ZImagePipeline returned 1"):
        drawn(StateEdit("owl", by="and", images=(0,)), 2)
    with pytest.raises(TraceError, match=r"from 0 to 0.*for 1\. .*in separate calls"):
        drawn(StateEdit("owl", by="and", images=(1,)), 2)
    drawn(StateEdit("owl", by="and", images=(0,)), 1)
    drawn(EDIT, 2)


def test_a_subword_that_two_words_share():
    tokens = TokenizedPrompt(
        "it can't",
        (Subword(1, "it", 0, 2), Subword(2, "can", 3, 6), Subword(3, "'t", 6, 8)),
        None,
        4,
    )
    sentence = parse("it can't")
    assert sentence.words == ("it", "ca", "n't")
    with pytest.raises(WordError, match=r"reads \"n't\" and 'ca' of .* as one.*write them apart"):
        positions_of(tokens, sentence, 2, "text_encoder")
    assert positions_of(tokens, sentence, 0, "text_encoder") == [1]


def test_compiled_encoders():
    pipe = make_sd()
    inside, outside = StateEdit("owl", by="and", layer=1), StateEdit("owl", by="and")
    expected = edited(pipe, inside), edited(pipe, outside)
    pipe.text_encoder = torch.compile(pipe.text_encoder, backend="eager")
    for edit in (inside, StateEdit("owl", alone=True)):
        with pytest.raises(TraceError, match=r"CLIPTextModel was passed.*\(by=, context=\).*eager"):
            edited(pipe, edit)
    assert torch.equal(edited(pipe, outside), expected[1])
    with torch.compiler.set_stance("force_eager"):
        assert torch.equal(edited(pipe, inside), expected[0])
