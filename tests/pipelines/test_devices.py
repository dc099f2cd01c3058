"""Where a pipeline runs is not always where its weights are."""

import pytest
import torch

from daam_syntax.pipelines import execution_device
from helpers.emulated_device import emulated_device
from helpers.tiny_pipelines import make_sd


@pytest.mark.parametrize("kind", ["model", "sequential"])
def test_offloaded_weights(kind):
    with emulated_device():
        pipe = make_sd()
        assert execution_device(pipe) == torch.device("cpu")
        getattr(pipe, f"enable_{kind}_cpu_offload")(device="cuda")
        assert pipe.device.type in ("cpu", "meta")
        assert execution_device(pipe) == torch.device("cuda:0")


def test_a_pipeline_that_does_not_say():
    class Loop:
        device = torch.device("cpu")

    assert execution_device(Loop()) == torch.device("cpu")
