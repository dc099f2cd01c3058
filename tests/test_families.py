"""Descriptions of model families."""

import dataclasses
from types import SimpleNamespace

import pytest
from pipelines import make_sd

from daam_syntax.attention import FAMILIES, UNET, family_of
from daam_syntax.attention.families import halved_grid
from daam_syntax.errors import TraceError

TEXT_FIRST = dataclasses.replace(UNET, layout="text-first")
IMAGE_FIRST = dataclasses.replace(UNET, layout="image-first", guidance_rows="conditional-first")


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


def test_split():
    assert UNET.split(100, 12, 12) == (slice(0, 100), slice(0, 12))
    assert UNET.split(100, 4, 12) is None
    assert TEXT_FIRST.split(112, 112, 12) == (slice(12, 112), slice(0, 12))
    assert IMAGE_FIRST.split(112, 112, 12) == (slice(0, 100), slice(100, 112))
    assert TEXT_FIRST.split(100, 112, 12) is None
    assert IMAGE_FIRST.split(12, 12, 12) is None


def test_conditional_rows():
    assert UNET.conditional_rows(4, 4) == slice(0, 4)
    assert UNET.conditional_rows(8, 4) == slice(4, 8)
    assert IMAGE_FIRST.conditional_rows(8, 4) == slice(0, 4)
    assert UNET.conditional_rows(12, 4) is None


def test_family_of():
    pipe = make_sd()
    assert family_of(pipe) is UNET
    assert UNET.tokenizer_of(pipe) is pipe.tokenizer
    assert UNET.tokenizer_of(SimpleNamespace(tokenizer=None, tokenizer_2="second")) == "second"
    with pytest.raises(TraceError, match="tokenizer or tokenizer_2"):
        UNET.tokenizer_of(SimpleNamespace(tokenizer=None))


def test_an_unknown_family_says_what_to_describe():
    class NewTransformer:
        pass

    pipe = SimpleNamespace(transformer=NewTransformer())
    with pytest.raises(
        TraceError, match=r"UNet2DConditionModel.*transformer: NewTransformer.*Family.*FAMILIES"
    ):
        family_of(pipe)


def test_a_description_adds_a_family(monkeypatch):
    class NewTransformer:
        pass

    described = dataclasses.replace(
        UNET, name="New", denoiser="transformer", denoiser_classes=("NewTransformer",)
    )
    monkeypatch.setattr("daam_syntax.attention.families.FAMILIES", [*FAMILIES, described])
    assert family_of(SimpleNamespace(transformer=NewTransformer())) is described
