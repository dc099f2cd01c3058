"""Attention probabilities of text keys, against a plain softmax over all keys."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from daam_syntax.attention.hooks.logsumexp import attend
from daam_syntax.attention.softmax import probabilities
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError


def attend_by_hand(query, key, mask=None, scale=None):
    """Softmax in float64 with NumPy, one row and head at a time, averaged over heads."""
    rows, heads, queries, size = query.shape
    result = np.zeros((rows, queries, key.shape[2]))
    shared = heads // key.shape[1]
    if mask is not None:
        mask = np.broadcast_to(mask.numpy(), (rows, heads, queries, key.shape[2]))
    for row in range(rows):
        for head in range(heads):
            logits = query[row, head].double().numpy() @ key[row, head // shared].double().numpy().T
            logits = logits * (size**-0.5 if scale is None else scale)
            if mask is not None and mask.dtype == bool:
                logits = np.where(mask[row, head], logits, -np.inf)
            elif mask is not None:
                logits = logits + mask[row, head]
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            result[row] += weights / weights.sum(axis=1, keepdims=True) / heads
    return result


class FunctionsCalled(TorchFunctionMode):
    """Records the names of all torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


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
    assert called.names.count("matmul") == products
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


class TestTheKernelsLogSumExp:
    """Joint attention on a CPU uses the kernel's log-sum-exp instead of a softmax over all keys."""

    def arguments(self, mask=None, dtype=torch.float32, rows=2):
        torch.manual_seed(2)
        query, key, value = (torch.randn(rows, 4, 40, 8, dtype=dtype) for _ in range(3))
        return {"query": 3 * query, "key": key, "value": value, "attn_mask": mask}

    def masks(self):
        mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
        mask[0, ..., 20:] = False
        return {
            "none": None,
            "bool": mask,
            "float": torch.zeros(2, 1, 40, 40).masked_fill(~mask, -1e4),
            "fully masked queries": torch.rand(40, 1).expand(40, 40) > 0.3,
        }

    @pytest.mark.parametrize("kind", ["none", "bool", "float", "fully masked queries"])
    def test_same_output_and_the_same_shares(self, kind):
        given = self.arguments(self.masks()[kind])
        output, logsumexp = attend((), given)
        assert torch.equal(output, scaled_dot_product_attention(**given))
        assert logsumexp.shape == (2, 4, 40)
        wanted = {
            "rows": slice(1, 2),
            "queries": slice(10, 40),
            "keys": slice(0, 10),
            "tokens": [1, 4],
        }
        fast, slow = (
            text_probabilities(AttentionCall.from_arguments((), given, known), **wanted)
            for known in (logsumexp, None)
        )
        torch.testing.assert_close(fast, slow, atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision(self, dtype):
        given = self.arguments(dtype=dtype)
        output, logsumexp = attend((), given)
        assert torch.equal(output, scaled_dot_product_attention(**given))
        call = AttentionCall.from_arguments((), given, logsumexp)
        shares = text_probabilities(call, keys=slice(0, 30))
        by_hand = attend_by_hand(call.query, call.key)[..., :30]
        np.testing.assert_allclose(shares, by_hand, atol=1e-3)

    def test_only_where_torch_itself_chooses_that_kernel(self):
        given = self.arguments()
        with sdpa_kernel(SDPBackend.MATH):
            output, logsumexp = attend((), given)
            assert torch.equal(output, scaled_dot_product_attention(**given))
        assert logsumexp is None

        few = given | {"key": given["key"][:, :, :7], "value": given["value"][:, :, :7]}
        assert attend((), few)[1] is None  # cross-attention: all keys are text

    def test_a_softmax_is_left_out_where_only_words_are_wanted(self):
        given = self.arguments()
        call = AttentionCall.from_arguments((), given, attend((), given)[1])
        by_hand = attend_by_hand(call.query, call.key)
        with FunctionsCalled() as called:
            words = text_probabilities(call, keys=slice(0, 12), tokens=[1, 4])
        assert not {"softmax", "logsumexp"} & set(called.names)
        np.testing.assert_allclose(words, by_hand[..., [1, 4]], atol=1e-6)
        with FunctionsCalled() as called:
            everything = text_probabilities(call)
        assert "softmax" in called.names
        np.testing.assert_allclose(everything.sum(-1), 1, atol=1e-6)

    def test_other_modes_see_the_call(self):
        given = self.arguments()
        with FunctionsCalled() as called:
            assert attend((), given)[1] is None
        assert "scaled_dot_product_attention" in called.names
