"""Logits have full precision whatever precision is allowed for matrix products."""

import numpy as np
import pytest
import torch

from daam_syntax.attention.softmax.logits import Keys, product_bits
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from helpers.softmax_by_hand import attend_by_hand

DEVICES = {kind: torch.device(kind) for kind in ("cpu", "cuda", "mps")}


@pytest.fixture(autouse=True)
def _settings_are_restored():
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.fixture
def rounding(monkeypatch):
    """Round the inputs of batched products, as hardware does when torch is allowed to."""
    original = torch.baddbmm
    seen = []

    def rounded(bias, first, second, **options):
        seen.append(first.shape[-1])
        bits = {"high": 11, "medium": 8, "highest": 24}[torch.get_float32_matmul_precision()]
        first, second = (round_to(each, bits) for each in (first, second))
        return original(bias, first, second, **options)

    monkeypatch.setattr(torch, "baddbmm", rounded)
    return seen


def round_to(values, bits):
    mantissa, exponent = torch.frexp(values.double())
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent).float()


def call(dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    query, key = (torch.randn(2, 3, n, 128, generator=generator) for n in (50, 20))
    return AttentionCall(query.to(dtype), key.to(dtype))


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_shares_are_exact_at_every_setting(rounding, precision, dtype):
    torch.set_float32_matmul_precision(precision)
    given = call(dtype)
    shares = text_probabilities(given)
    np.testing.assert_allclose(shares, attend_by_hand(given.query, given.key), atol=1e-6)


def test_the_emulated_rounding_matters(rounding):
    torch.set_float32_matmul_precision("medium")
    given = call()
    rough = torch.baddbmm(torch.zeros(()), given.key[0], given.query[0].mT, beta=0, alpha=128**-0.5)
    exact = given.key[0].double() @ given.query[0].double().mT * 128**-0.5
    assert (rough - exact).abs().max() > 1e-3
    fine = Keys(given.key, given.query.dtype).logits(given.query, 128**-0.5)[0]
    assert (fine - exact).abs().max() < 1e-5


def test_inputs_are_split_only_where_they_would_be_rounded(rounding):
    text_probabilities(call())
    torch.set_float32_matmul_precision("high")
    text_probabilities(call(torch.float16))  # 11 bits are kept
    assert set(rounding) == {128}
    text_probabilities(call())
    assert set(rounding) == {128, 6 * 128}


@pytest.mark.parametrize(
    ("precision", "bits"),
    [
        ("highest", {"cpu": 24, "cuda": 24, "mps": 24}),
        ("high", {"cpu": 11, "cuda": 11, "mps": 24}),
        ("medium", {"cpu": 8, "cuda": 11, "mps": 24}),
    ],
)
def test_settings_are_read(precision, bits):
    torch.set_float32_matmul_precision(precision)
    assert {kind: product_bits(device) for kind, device in DEVICES.items()} == bits


def test_both_generations_of_settings():
    before = torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        assert product_bits(DEVICES["cuda"]) == 11
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        assert product_bits(DEVICES["cuda"]) == 24
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert product_bits(DEVICES["cuda"]) == 11
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
