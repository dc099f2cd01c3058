"""`check_trace` finds what is wrong on a device, and nothing where all is right."""

import json

import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.verification import check_trace
from helpers.emulated_device import emulated_device
from helpers.tiny_pipelines import make_sd, make_sd3
from helpers.tracing import CAT

FAST = {"steps": 2, "rounds": 1, "height": 64, "width": 64}


def check(pipe, **options):
    return check_trace(pipe, CAT, **{**FAST, **options})


def lines_of(found):
    return dict(line.split(":", 1) for line in str(found).splitlines())


def test_all_is_right():
    pipe = make_sd()
    found = check(pipe)
    assert found.is_right
    assert found.is_identical
    assert found.is_deterministic
    assert 0 < found.largest_error < 1e-6
    assert found.worst_layer in dict(pipe.unet.named_modules())
    assert (found.n_layers, found.steps, found.dtype) == (7, 2, "float32")
    assert found.peak_bytes == {}  # it is not a CUDA device
    assert found.seconds > 0 < found.time_ratio
    lines = lines_of(found)
    assert lines["Images"].strip() == "identical with and without a trace"
    assert lines["Maps"].strip().startswith("exact: at most")
    assert "Waits" not in lines
    assert pipe._progress_bar_config == {"disable": True}


def test_joint_attention_names_its_denominators():
    found = check(make_sd3())
    assert found.is_right
    assert found.denominators == ("kernel",)
    assert lines_of(found)["Denominators"].strip().startswith("kernel (flash_attention_for_cpu ")
    assert json.loads(json.dumps(found.to_dict()))["is_right"] is True


@pytest.mark.parametrize("factor", [1.00003, float("nan")])
def test_wrong_maps_are_found_in_their_layer(monkeypatch, factor):
    layer, add = "up_blocks.1.attentions.0.transformer_blocks.0.attn2", LayerSums.add

    def spoiled(self, path, grid, probabilities, step=0):
        add(self, path, grid, probabilities * factor if path == layer else probabilities, step)

    monkeypatch.setattr(LayerSums, "add", spoiled)
    found = check(make_sd())
    assert not found.is_right
    assert found.is_identical
    assert found.worst_layer == layer
    assert "NOT EXACT" in lines_of(found)["Maps"]


def changed_images(pipe, change):
    """Change the images that a pipeline draws, given the number of the call, from 1."""
    original, calls = pipe.vae.decode, []

    def decode(*args, **kwargs):
        calls.append(None)
        (image, *_) = original(*args, **{**kwargs, "return_dict": False})
        return (image + change(len(calls)),)

    pipe.vae.decode = decode
    return pipe


def test_an_image_that_a_trace_changes_is_found():
    found = check(changed_images(make_sd(), lambda call: 0.1 * (call == 3)))  # the traced one
    assert found.is_deterministic
    assert not found.is_identical
    assert not found.is_right
    assert lines_of(found)["Images"].strip() == "DIFFERENT with and without a trace"


def test_a_model_that_is_not_deterministic_is_not_blamed_on_the_trace():
    found = check(changed_images(make_sd(), lambda call: 0.1 * torch.rand(())))
    assert not found.is_deterministic
    assert not found.is_identical
    assert found.is_right
    assert "another image each time" in lines_of(found)["Images"]


def test_costs_of_a_cuda_device():
    with emulated_device() as accelerator:
        pipe = make_sd().to("cuda")
        found = check(pipe, steps=1)
        accelerator.waits.clear()
        with trace(pipe):
            pipe(CAT, num_inference_steps=1, height=64, width=64)
        n_waits = sum(accelerator.waits_of("daam_syntax").values())
    assert found.is_right
    assert found.device == "cuda:0 (Emulated GPU)"
    assert found.peak_bytes["traced"] >= found.peak_bytes["untraced"] > 0
    assert sum(found.waits.values()) == n_waits > 0
    lines = lines_of(found)
    assert lines["Waits"].strip().startswith(f"{n_waits} for the device in 1 steps (")
    assert " more at the peak of " in lines["Memory"]


def test_a_device_without_float64():
    with emulated_device("mps", n_devices=1):
        found = check(make_sd().to("mps"), steps=1)
    assert found.is_right
    assert found.device == "mps:0"
