"""Joint attention on a CPU uses the kernel's log-sum-exp instead of a softmax over all keys."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from daam_syntax.attention.hooks.logsumexp import attend
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from helpers.softmax_by_hand import FunctionsCalled, attend_by_hand


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
def test_half_precision(dtype):
    given = arguments(dtype=dtype)
    output, logsumexp = attend((), given)
    assert torch.equal(output, scaled_dot_product_attention(**given))
    call = AttentionCall.from_arguments((), given, logsumexp)
    shares = text_probabilities(call, keys=slice(0, 30))
    by_hand = attend_by_hand(call.query, call.key)[..., :30]
    np.testing.assert_allclose(shares, by_hand, atol=1e-3)


def test_only_where_torch_itself_chooses_that_kernel():
    given = arguments()
    with sdpa_kernel(SDPBackend.MATH):
        output, logsumexp = attend((), given)
        assert torch.equal(output, scaled_dot_product_attention(**given))
    assert logsumexp is None

    few = given | {"key": given["key"][:, :, :7], "value": given["value"][:, :, :7]}
    assert attend((), few)[1] is None  # cross-attention: all keys are text


def test_a_softmax_is_left_out_where_only_words_are_wanted():
    given = arguments()
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


def test_other_modes_see_the_call():
    given = arguments()
    with FunctionsCalled() as called:
        assert attend((), given)[1] is None
    assert "scaled_dot_product_attention" in called.names
