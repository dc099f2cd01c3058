"""Descriptions of model families, and finding the family of a pipeline."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daam_syntax.attention import (
    FAMILIES,
    UNET,
    Family,
    families,
    family_of,
    register_family,
    trace,
)
from daam_syntax.attention.families import halved_grid
from daam_syntax.attention.families.layouts import (
    CallSizes,
    TokenLayout,
    cross,
    image_first,
    text_first,
)
from daam_syntax.errors import TraceError
from helpers.family_pipelines import make
from helpers.tiny_pipelines import make_sd, make_sdxl


@pytest.fixture
def known(monkeypatch):
    """A copy of the list of families, which a test may change."""
    families = list(FAMILIES)
    monkeypatch.setattr("daam_syntax.attention.families.registry.FAMILIES", families)
    return families


@pytest.mark.parametrize(
    ("size", "queries", "grid"),
    [
        ((64, 64), 4096, (64, 64)),
        ((64, 96), 384, (16, 24)),
        ((17, 23), 9 * 12, (9, 12)),
        ((9, 13), 5 * 7, (5, 7)),
        ((9, 13), 3 * 4, (3, 4)),
        ((1, 5), 3, (1, 3)),
        ((9, 13), 36, None),
        ((4, 4), 17, None),
    ],
)
def test_halved_grid(size, queries, grid):
    assert halved_grid(size, queries) == grid


@pytest.mark.parametrize(
    ("layout", "queries", "keys", "pixels", "text"),
    [
        (cross, 100, 12, slice(0, 100), slice(0, 12)),
        (cross, 100, 112, slice(0, 100), slice(0, 12)),
        (cross, 100, 4, None, None),
        (text_first, 112, 112, slice(12, 112), slice(0, 12)),
        (text_first, 100, 112, None, None),
        (image_first, 112, 112, slice(0, 100), slice(100, 112)),
        (image_first, 12, 12, None, None),
    ],
)
def test_layouts(layout, queries, keys, pixels, text):
    found = layout(CallSizes(queries, keys, text=12), {})
    assert found == (None if pixels is None else TokenLayout(pixels, text))


def test_registers_precede_the_text():
    found = text_first(CallSizes(120, 120, text=12), {}, registers=8)
    assert found == TokenLayout(slice(20, 120), slice(8, 20))


def test_conditional_rows():
    conditional_first = dataclasses.replace(UNET, guidance="conditional-first")
    assert UNET.conditional_rows(4, 4) == slice(0, 4)
    assert UNET.conditional_rows(8, 4) == slice(4, 8)
    assert conditional_first.conditional_rows(8, 4) == slice(0, 4)
    assert UNET.conditional_rows(12, 4) is None


def test_family_of():
    pipe = make_sd()
    assert family_of(pipe) is UNET
    (encoder,) = UNET.encoders
    assert encoder.tokenizer_of(pipe) is pipe.tokenizer
    assert encoder.tokenizer_of(SimpleNamespace(tokenizer=None, tokenizer_2="second")) == "second"


def test_a_pipeline_without_its_tokenizer():
    pipe = make_sd()
    pipe.tokenizer = None
    with pytest.raises(TraceError, match="tokenizer or tokenizer_2"), trace(pipe):
        pipe.encode_prompt("a cat", "cpu", 1, False)


def test_an_unknown_family_says_what_to_describe():
    class NewTransformer:
        pass

    pipe = SimpleNamespace(transformer=NewTransformer())
    with pytest.raises(
        TraceError,
        match=r"UNet2DConditionModel.*transformer: NewTransformer.*register_family.*Family",
    ):
        family_of(pipe)


def test_a_description_of_other_pipelines_does_not_hide_that_of_the_denoiser(known):
    mine = register_family(dataclasses.replace(UNET, pipelines=("StableDiffusionXLPipeline",)))
    assert family_of(make_sd()) is UNET
    assert family_of(make_sdxl()) is mine


def draw(pipe, guidance_scale=4.0, **options):
    return pipe(
        ["a red cat", "the strawberry and the owl"],
        height=64,
        width=96,
        num_inference_steps=1,
        max_sequence_length=20,
        guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(1),
        output_type="pt",
        **options,
    ).images


def traced(pipe, **options):
    with trace(pipe) as recording:
        images = draw(pipe, **options)
    return images, recording.heat_maps()


@pytest.mark.parametrize("guidance_scale", [4.0, 1.0])
def test_an_unknown_family_with_plain_cross_attention_just_works(known, guidance_scale):
    pipe = make("PixArt-sigma")
    options = {"use_resolution_binning": False, "guidance_scale": guidance_scale}
    images, described = traced(pipe, **options)
    known.remove(family_of(pipe))
    family = family_of(pipe)
    assert (family.name, family.guidance) == ("PixArtTransformer2DModel", "by-text")
    again, found = traced(pipe, **options)
    assert torch.equal(again, images)
    for one, other in zip(described, found, strict=True):
        assert one.subwords == other.subwords
        np.testing.assert_array_equal(one.data, other.data)
        assert one.provenance["guided"] == other.provenance["guided"]


def test_a_family_can_be_registered_from_outside(known):
    pipe = make("SD3")
    _, described = traced(pipe)
    known.remove(family_of(pipe))
    with pytest.raises(TraceError, match="register_family"):
        trace(pipe)

    def latent_size(inputs):
        return tuple(inputs["hidden_states"].shape[-2:])

    family = Family(
        name="My model",
        denoiser_classes=("SD3Transformer2DModel",),
        encoders=(families.TextEncoder(name="clip"),),
        is_text_attention=lambda path, module: path.endswith(".attn"),
        layout=families.image_first,
        guidance="by-text",
        grid=lambda pipe, inputs, n_pixels: tuple(n // 2 for n in latent_size(inputs)),
        image_size=lambda pipe, inputs: tuple(8 * n for n in latent_size(inputs)),
    )
    assert register_family(family) is family is family_of(pipe)
    _, found = traced(pipe)
    for one, other in zip(described, found, strict=True):
        assert other.provenance["family"] == "My model"
        np.testing.assert_allclose(one.encoder("clip").data, other.data, atol=1e-7)


def test_a_description_that_keeps_other_tokens_is_refused(known):
    pipe = make("PixArt-sigma")
    (encoder,) = family_of(pipe).encoders
    too_many = dataclasses.replace(encoder, kept=lambda mask, pipe, arguments: [0] * 21)
    register_family(dataclasses.replace(family_of(pipe), encoders=(too_many,)))
    with pytest.raises(TraceError, match=r"return 21 text keys.*but it returned 20"):
        traced(pipe, use_resolution_binning=False)
