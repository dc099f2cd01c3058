"""Maps of whole pipelines are exact, and images the same, whatever precision is set for products of matrices."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from helpers.attention_reference import CallsWithin
from helpers.family_cases import CASES
from helpers.family_runs import denoiser, draw, keys_of, pipeline, reference
from helpers.tracing import CAT


@contextmanager
def products(precision):
    """Allow processors that can to round the inputs of 32-bit products to fewer bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


SETTINGS = {
    "medium": lambda: products("medium"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["PixArt-alpha", "HunyuanDiT", "SD3", "Flux"])
def test_maps_are_those_of_the_model_s_own_queries_and_keys(name, setting):
    (case,) = [each for each in CASES if each.name == name]
    watch = CallsWithin(denoiser(case), case.modules)
    with SETTINGS[setting]():
        image = watch.during(lambda: draw(case, [CAT], steps=2))
        with trace(pipeline(case.name)) as recording:
            traced = draw(case, [CAT], steps=2)
    assert torch.equal(traced, image)
    (maps,) = recording.heat_maps()
    expected = reference(case, watch, 1, maps.grid, guided=True)[0].numpy()
    by_hand = expected[:, keys_of(case, maps)].T.reshape(-1, *maps.grid)
    np.testing.assert_allclose(maps.data, by_hand, atol=1e-6)
