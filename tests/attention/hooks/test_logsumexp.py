"""In joint attention, the log-sum-exp that the kernel computes replaces a softmax over all keys."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from daam_syntax.attention.hooks.logsumexp import LogSumExpReader
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from helpers.softmax_by_hand import FunctionsCalled, attend_by_hand

CPU_KERNEL = "flash_attention_for_cpu"


def attend(given):
    return LogSumExpReader().attend((), given)


def arguments(mask=None, dtype=torch.float32, rows=2):
    torch.manual_seed(2)
    query, key, value = (torch.randn(rows, 4, 40, 8, dtype=dtype) for _ in range(3))
    return {"query": 3 * query, "key": key, "value": value, "attn_mask": mask}


def masks():
    mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
    mask[0, ..., 20:] = False
    return {
        "none": None,
        "bool": mask,
        "float": torch.zeros(2, 1, 40, 40).masked_fill(~mask, -1e4),
        "fully masked queries": torch.rand(40, 1).expand(40, 40) > 0.3,
    }


@pytest.mark.parametrize("kind", ["none", "bool", "float", "fully masked queries"])
def test_same_output_and_the_same_shares(kind):
    given = arguments(masks()[kind])
    output, logsumexp = attend(given)
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


def test_grouped_queries():
    given = arguments()
    given |= {name: given[name][:, :2] for name in ("key", "value")} | {"enable_gqa": True}
    output, logsumexp = attend(given)
    assert torch.equal(output, scaled_dot_product_attention(**given))
    call = AttentionCall.from_arguments((), given, logsumexp)
    by_hand = attend_by_hand(call.query, call.key)[..., :12]
    np.testing.assert_allclose(text_probabilities(call, keys=slice(0, 12)), by_hand, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    given = arguments(dtype=dtype)
    output, logsumexp = attend(given)
    assert torch.equal(output, scaled_dot_product_attention(**given))
    assert logsumexp is None  # on a CPU, that of 16-bit kernels is not exact
    call = AttentionCall.from_arguments((), given)
    shares = text_probabilities(call, keys=slice(0, 30))
    by_hand = attend_by_hand(call.query, call.key)[..., :30]
    np.testing.assert_allclose(shares, by_hand, atol=1e-6)


def test_kernels_without_a_log_sum_exp():
    given, reader = arguments(), LogSumExpReader()
    with sdpa_kernel(SDPBackend.MATH):
        output, logsumexp = reader.attend((), given)
        assert torch.equal(output, scaled_dot_product_attention(**given))
    assert logsumexp is None
    assert reader.differences == {"math": float("inf")}


def test_cross_attention_needs_none():
    given = arguments()
    few = given | {"key": given["key"][:, :, :7], "value": given["value"][:, :, :7]}
    assert attend(few)[1] is None


class Spoiled(TorchDispatchMode):
    """Spoils the log-sum-exp of the kernel, as one would that computes it differently."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outputs = func(*args, **(kwargs or {}))
        if func._schema.name == f"aten::_scaled_dot_product_{CPU_KERNEL}":
            return outputs[0], outputs[1] + self.by
        return outputs


@pytest.mark.parametrize(("by", "is_used"), [(0.0, True), (1e-4, False), (float("nan"), False)])
def test_a_log_sum_exp_that_differs_is_not_used(by, is_used):
    given, reader = arguments(), LogSumExpReader()
    with Spoiled(by):
        _, logsumexp = reader.attend((), given)
    assert (logsumexp is not None) is is_used
    assert (reader.differences[CPU_KERNEL] < 2e-6) is is_used


def test_only_the_first_call_of_a_kind_is_checked():
    given, reader = arguments(), LogSumExpReader()
    reader.attend((), given)
    with FunctionsCalled() as called:
        reader.attend((), given)
    assert "logsumexp" not in called.names
    with FunctionsCalled() as called:  # another kind
        reader.attend((), given | {"attn_mask": masks()["bool"]})
    assert "logsumexp" in called.names


def test_a_softmax_is_left_out_where_only_words_are_wanted():
    given = arguments()
    call = AttentionCall.from_arguments((), given, attend(given)[1])
    by_hand = attend_by_hand(call.query, call.key)
    with FunctionsCalled() as called:
        words = text_probabilities(call, keys=slice(0, 12), tokens=[1, 4])
    assert not {"softmax", "logsumexp"} & set(called.names)
    np.testing.assert_allclose(words, by_hand[..., [1, 4]], atol=1e-6)
    with FunctionsCalled() as called:
        everything = text_probabilities(call)
    assert "softmax" in called.names
    np.testing.assert_allclose(everything.sum(-1), 1, atol=1e-6)


def test_other_modes_see_the_call():
    with FunctionsCalled() as called:
        assert attend(arguments())[1] is not None
    assert "scaled_dot_product_attention" in called.names
