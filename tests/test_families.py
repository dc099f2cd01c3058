"""Descriptions of model families."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pipelines import make_sd, make_sd3

from daam_syntax.attention import FAMILIES, UNET, Family, family_of, trace
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


def _latent_size(inputs):
    return tuple(inputs["hidden_states"].shape[-2:])


SD3 = Family(
    name="SD3",
    denoiser="transformer",
    denoiser_classes=("SD3Transformer2DModel",),
    tokenizers=("tokenizer",),
    is_text_attention=lambda path, module: path.endswith(".attn"),
    layout="image-first",
    guidance_rows="unconditional-first",
    grid=lambda inputs, n_queries: tuple(n // 2 for n in _latent_size(inputs)),
    image_size=lambda pipe, inputs: tuple(n * pipe.vae_scale_factor for n in _latent_size(inputs)),
)


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_description_alone_adds_a_family_with_joint_attention(block, monkeypatch):
    """The maps of Stable Diffusion 3 against a softmax over pixels and text, by hand."""
    monkeypatch.setattr("daam_syntax.attention.families.FAMILIES", [*FAMILIES, SD3])
    pipe = make_sd3()
    prompts = ["a red cat", "the strawberry and the owl"]

    def draw():
        return pipe(
            prompts,
            height=64,
            width=96,
            num_inference_steps=1,
            max_sequence_length=20,
            generator=torch.Generator().manual_seed(1),
            output_type="pt",
        ).images

    seen = {}
    attention = pipe.transformer.transformer_blocks[block].attn
    handles = [
        getattr(attention, name).register_forward_hook(
            lambda module, args, output, name=name: seen.update({name: output.detach()})
        )
        for name in ("norm_q", "norm_k", "norm_added_k")
    ]
    untraced = draw()
    for handle in handles:
        handle.remove()
    with trace(pipe, layers=[f"blocks.{block}."]) as recording:
        assert torch.equal(draw(), untraced)

    query = seen["norm_q"].double()  # (row, head, pixel, feature)
    key = torch.cat([seen["norm_k"], seen["norm_added_k"]], dim=2).double()
    weights = torch.exp(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5)
    shares = (weights / weights.sum(dim=-1, keepdim=True)).mean(dim=1)
    maps = recording.heat_maps()
    assert [each.image_size for each in maps] == [(64, 96)] * 2
    for row, each in enumerate(maps):
        assert each.grid == (4, 6)
        n = len(each.subwords)
        text = shares[len(prompts) + row, :, 24 : 24 + n].T.reshape(n, 4, 6)
        np.testing.assert_allclose(each.data, text, atol=1e-6)
