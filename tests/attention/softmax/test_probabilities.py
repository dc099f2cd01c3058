"""Attention probabilities of text keys, against a plain softmax over all keys."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from daam_syntax.attention.softmax import probabilities
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError
from helpers.softmax_by_hand import FunctionsCalled, attend_by_hand


@pytest.fixture
def call():
    torch.manual_seed(1)
    return AttentionCall(query=3 * torch.randn(2, 4, 15, 8), key=torch.randn(2, 4, 7, 8))


def test_all_columns(call):
    probabilities = text_probabilities(call)
    assert probabilities.shape == (2, 15, 7)
    np.testing.assert_allclose(probabilities, attend_by_hand(call.query, call.key), atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-6)


def test_reproduces_the_model_s_own_attention(call):
    one_head = AttentionCall(call.query[:, :1], call.key[:, :1])
    value = torch.randn(2, 1, 7, 8)
    ours = text_probabilities(one_head) @ value[:, 0]
    theirs = scaled_dot_product_attention(one_head.query, one_head.key, value)[:, 0]
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("keys", [slice(0, 3), slice(4, 7)])
def test_joint_attention_divides_by_all_keys(call, keys):
    whole = attend_by_hand(call.query, call.key)
    part = text_probabilities(
        call, rows=slice(1, 2), queries=slice(5, 15), keys=keys, tokens=[2, 0]
    )
    np.testing.assert_allclose(part, whole[1:, 5:, keys][..., [2, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("at_once", "products"),
    [(1, 2 * 15), (4 * 7 * 4, 2 * 4), (4 * 7 * 15, 2), (4 * 7 * 30, 1)],
    ids=["single queries", "queries", "rows", "everything"],
)
def test_chunks_change_nothing(call, at_once, products, monkeypatch):
    monkeypatch.setattr(probabilities, "_LOGITS_AT_ONCE_ON_CPU", at_once)
    monkeypatch.setattr(probabilities, "_QUERIES_AT_ONCE", 1)
    with FunctionsCalled() as called:
        shares = text_probabilities(call)
    assert called.names.count("baddbmm") == products
    np.testing.assert_allclose(shares, attend_by_hand(call.query, call.key), atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(7,), (15, 7), (2, 1, 1, 7), (1, 4, 15, 7), (2, 4, 15, 7), (2, 1, 15, 1)]
)
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks(call, shape, kind):
    mask = torch.randn(shape)
    if kind == "bool":
        mask = mask > -0.8
        mask[..., 0] = True
    masked = AttentionCall(call.query, call.key, mask=mask, scale=0.3)
    ours = text_probabilities(masked, rows=slice(1, 2), queries=slice(2, 14))
    theirs = attend_by_hand(call.query, call.key, mask, scale=0.3)[1:, 2:14]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_query_whose_keys_are_all_masked_gets_zeros(call):
    mask = torch.ones(15, 7, dtype=torch.bool)
    mask[3] = False
    for keys in (slice(None), slice(0, 4)):
        masked = text_probabilities(AttentionCall(call.query, call.key, mask=mask), keys=keys)
        assert (masked[:, 3] == 0).all()
        assert masked.isfinite().all()


def test_shared_key_heads(call):
    grouped = AttentionCall(call.query, call.key[:, :2], enable_gqa=True)
    np.testing.assert_allclose(
        text_probabilities(grouped), attend_by_hand(call.query, call.key[:, :2]), atol=1e-6
    )


def test_half_precision_is_read_in_single(call):
    half = AttentionCall(call.query.bfloat16(), call.key.bfloat16())
    ours = text_probabilities(half)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours, attend_by_hand(half.query, half.key), atol=1e-6)


def test_refusals(call):
    with pytest.raises(TraceError, match="is_causal=True"):
        text_probabilities(AttentionCall(call.query, call.key, is_causal=True))
    with pytest.raises(TraceError, match=r"\(row, head, query, feature\), but got \(4, 15, 8\)"):
        text_probabilities(AttentionCall(call.query[0], call.key[0]))


def test_reads_the_arguments_of_a_call():
    q, k, v, mask = (torch.zeros(1) for _ in range(4))
    call = AttentionCall.from_arguments((q, k), {"value": v, "attn_mask": mask, "scale": 2.0})
    assert (call.mask is mask, call.scale, call.is_causal, call.enable_gqa) == (
        True,
        2.0,
        False,
        False,
    )
    assert AttentionCall.from_arguments((q, k, v, None, 0.0, True), {}).is_causal
