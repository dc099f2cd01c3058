"""Weights that are offloaded, spread over devices, or on a default device; and devices of another type."""

import accelerate
import numpy as np
import pytest
import torch

from daam_syntax import parse
from daam_syntax.attention import overflow, trace, trace_image
from daam_syntax.drawing import draw as draw_images
from daam_syntax.pipelines import DrawingSettings
from helpers import family_runs
from helpers.device_runs import every_map, held_by
from helpers.emulated_device import emulated_device
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, LONG, SQUARE, draw, make_image

OTHER = "a blue owl"
CASE_OF = {case.name: case for case in CASES}


def on_device(pipe):
    return pipe.to("cuda")


def offloaded_models(pipe):
    pipe.enable_model_cpu_offload(device="cuda")
    return pipe


def offloaded_layers(pipe):
    pipe.enable_sequential_cpu_offload(device="cuda")
    return pipe


def spread(pipe):
    """Put the second half of a UNet on a second device, as a device map does."""
    second = ("up_blocks", "conv_norm_out", "conv_act", "conv_out")
    parts = [name for name, part in pipe.unet.named_children() if list(part.parameters())]
    places = {name: f"cuda:{int(name in second)}" for name in parts}
    accelerate.dispatch_model(pipe.unet, places, main_device="cuda:0", force_hooks=True)
    pipe.vae.to("cuda:0")
    pipe.text_encoder.to("cuda:0")
    return pipe


def traced(pipe, run=lambda pipe: draw(pipe, CAT, size=SQUARE), **options):
    with trace(pipe, **options) as recording:
        images = run(pipe)
    return [images.cpu(), *(maps.data.values for maps in every_map(recording))], recording


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.fixture(scope="module")
def expected():
    options = {"refine": True, "also": [OTHER]}
    return traced(make_sd(), **options)[0]


@pytest.mark.parametrize("place", [offloaded_models, offloaded_layers, spread])
def test_stable_diffusion(place, expected):
    with emulated_device():
        found, recording = traced(place(make_sd()), refine=True, also=[OTHER])
        assert held_by(recording) == []
    assert_same(found, expected)


def test_kept_axes_arrive_from_two_devices():
    options = {"keep": ("step",), "layers": ["8x8"]}
    expected, _ = traced(make_sd(), **options)
    with emulated_device():
        found, _ = traced(spread(make_sd()), **options)
    assert_same(found, expected)


@pytest.mark.parametrize("place", [on_device, offloaded_models, offloaded_layers])
@pytest.mark.parametrize("name", ["PixArt-sigma", "Sana", "Flux", "AuraFlow"])
def test_text_that_the_denoiser_projects(name, place):
    case = CASE_OF[name]

    def run(pipe):
        return family_runs.draw(case, [CAT], pipe=pipe, size=case.sizes[0])

    expected, _ = traced(make(name), run, also=[OTHER])
    with emulated_device():
        found, _ = traced(place(make(name)), run, also=[OTHER])
    assert_same(found, expected)


def drawn(pipe):
    settings = DrawingSettings(steps=2, height=64, width=64)
    (image,) = draw_images([parse(CAT)], pipe, seeds=[1], settings=settings)
    return [np.asarray(image.image), image.maps.data.values]


def test_drawing_uses_a_generator_of_the_device():
    expected = drawn(make_sd())
    with emulated_device():
        assert_same(drawn(offloaded_layers(make_sd())), expected)


def test_prompts_are_measured_while_weights_are_elsewhere():
    expected = overflow(LONG, make_sd())
    with emulated_device():
        assert overflow(LONG, offloaded_layers(make_sd())) == expected


def test_default_device():
    image = make_image(64, 64)
    expected = trace_image(make_sd(), image, CAT, seed=1).data.values
    drawn_expected, _ = traced(make_sd())
    with emulated_device():
        pipe = on_device(make_sd())
        torch.set_default_device("cuda")
        try:
            found = trace_image(pipe, image, CAT, seed=1).data.values
            drawn_found, _ = traced(pipe)
        finally:
            torch.set_default_device(None)
    assert_same([found, *drawn_found], [expected, *drawn_expected])


def test_mps(expected):
    with emulated_device("mps", n_devices=1):
        found, recording = traced(make_sd().to("mps"), refine=True, also=[OTHER])
        assert held_by(recording) == []
        kept, _ = traced(make_sd().to("mps"), keep=("step",), layers=["8x8"])
    assert_same(found, expected)
    assert_same(kept, traced(make_sd(), keep=("step",), layers=["8x8"])[0])
