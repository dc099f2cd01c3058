"""The limit on a recording is that of the memory in which it lies."""

import psutil
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.attention.pipeline_call.memory import default_max_bytes
from daam_syntax.errors import MemoryLimitError
from helpers.emulated_device import emulated_device
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, SQUARE, draw


def test_half_of_what_is_free_on_a_cuda_device():
    with emulated_device(n_bytes=1_000_000) as accelerator:
        held = torch.zeros(50_000, device="cuda")
        assert held.nbytes == 200_000
        accelerator.cached = 100_000  # which torch can use again
        assert default_max_bytes(torch.device("cuda:0")) == 400_000
        assert default_max_bytes(torch.device("cuda:1")) == 500_000


@pytest.mark.parametrize("device", [None, torch.device("cpu"), torch.device("mps")])
def test_half_of_what_is_free_in_main_memory(monkeypatch, device):
    class Memory:
        available = 5_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert default_max_bytes(device) == 2_500
    with emulated_device():
        assert default_max_bytes(torch.device("cuda")) == 2_500  # maps are made there


@pytest.mark.parametrize(
    ("options", "fits"),
    [({}, False), ({"keep": "step"}, True), ({"keep": "step", "refine": True}, False)],
    ids=["sums", "kept sums", "pixel pairs"],
)
def test_a_recording_has_to_fit_where_it_lies(options, fits):
    with emulated_device() as accelerator:
        pipe = make_sd().to("cuda")
        accelerator.n_bytes = accelerator.allocated() + 1000
        with trace(pipe, **options) as recording:
            if fits:
                draw(pipe, CAT, size=SQUARE, steps=1)
            else:
                with pytest.raises(MemoryLimitError, match="allow more memory"):
                    draw(pipe, CAT, size=SQUARE, steps=1)
        assert len(recording._recorder.finished) == int(fits)
