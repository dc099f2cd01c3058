"""Every family of models on an emulated CUDA device: nothing mixes, nothing waits, nothing stays there.

The same kernels compute the numbers as on the CPU, so images and maps are equal to the bit. That they are right is
tested on the CPU, against a softmax by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from helpers import family_runs
from helpers.device_runs import held_by, waits_by_step
from helpers.emulated_device import emulated_device
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.tiny_pipelines import make_sd, make_sdxl
from helpers.tracing import CAT, SQUARE, draw

ONCE = {
    "pipeline_call/recording_spec.py": "the scheduler's timesteps",
    "hooks/logsumexp.py": "the check of the kernel's log-sum-exp",
    "families/packed_images.py": "position ids",
    "families/joint_attention.py": "lengths of texts",
}
"""What the host waits for in the first step alone, by module."""


def check(pipe_of, draw_with):
    """Compare a traced image on the CPU with one on an emulated device, and count waits."""
    pipe = pipe_of()
    with trace(pipe) as recording:
        expected_images = draw_with(pipe)
    (expected,) = recording.heat_maps()
    with emulated_device() as accelerator:
        pipe = pipe_of().to("cuda")
        with trace(pipe) as recording:
            images, waits = waits_by_step(accelerator, pipe, lambda: draw_with(pipe))
        assert images.device.type == "cuda"
        assert torch.equal(images.cpu(), expected_images)
        assert held_by(recording) == []
        del images
        (maps,) = recording.heat_maps()
    np.testing.assert_array_equal(maps.data, expected.data)
    assert maps.provenance["timesteps"] == expected.provenance["timesteps"]
    first, second, after = waits
    assert set(first) <= set(ONCE)
    assert max(first.values()) <= 2  # once for each of the calls that guidance makes
    assert second == {}
    assert after == {
        "texts/drawn_text.py": 1,
        "pipeline_call/timesteps.py": 2,
        "softmax/layer_sums.py": maps.provenance["layers"],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_traces(case):
    check(
        lambda: make(case.name),
        lambda pipe: family_runs.draw(case, [CAT], pipe=pipe, size=case.sizes[0], steps=2),
    )


@pytest.mark.parametrize("pipe_of", [make_sd, make_sdxl])
def test_traces_of_unets(pipe_of):
    check(pipe_of, lambda pipe: draw(pipe, CAT, size=SQUARE))
