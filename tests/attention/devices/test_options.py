"""What a trace, an intervention, or a re-use of attention does on a device equals what it does on the CPU."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import (
    Edit,
    intervene,
    record_attention,
    reuse_attention,
    trace,
    trace_image,
)
from helpers.device_runs import every_map, held_by, waits_by_step
from helpers.emulated_device import emulated_device
from helpers.tiny_pipelines import make_sd, make_sdxl
from helpers.tracing import CAT, OWL, SQUARE, draw, make_image

OTHER = "a blue owl"


def traced(pipe, run=lambda pipe, drawn: drawn(), **options):
    with trace(pipe, **options) as recording:
        found = run(pipe, lambda: draw(pipe, CAT, size=SQUARE, negative_prompt=OWL))
    return found, recording, every_map(recording)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.axes == other.axes
        for word in other.mapped:
            np.testing.assert_array_equal(one.word_array(word), other.word_array(word))


@pytest.mark.parametrize("pipe_of", [make_sd, make_sdxl])
@pytest.mark.parametrize(
    "options",
    [
        {"refine": True, "padding": True},
        {"keep": ("step", "head"), "negative": True, "also": [OTHER]},
        {"steps": [0, 1]},
    ],
    ids=["refined", "kept", "chosen steps"],
)
def test_options(pipe_of, options):
    expected_images, _, expected = traced(pipe_of(), **options)
    with emulated_device() as accelerator:
        (images, waits), recording, found = traced(
            pipe_of().to("cuda"),
            lambda pipe, drawn: waits_by_step(accelerator, pipe, drawn),
            **options,
        )
        assert torch.equal(images.cpu(), expected_images)
        assert held_by(recording) == []
    assert_same(found, expected)
    # Kept maps are waited for once a step for each text, not in each of the 7 or 8 layers.
    expected_waits = {"softmax/transfers.py": len(found)} if "keep" in options else {}
    # A step is selected by its timestep, which is on the device.
    expected_waits |= {"pipeline_call/timesteps.py": 1} if "steps" in options else {}
    assert waits[1] == expected_waits


def edited(pipe):
    edit = Edit(
        words=["cat"],
        scale=0.5,
        heads=[0],
        paid_by="others",
        where=np.eye(8) > 0,
    )
    with intervene(pipe, [Edit(words=["red"], scale=0.0), edit]):
        return draw(pipe, CAT, size=SQUARE)


def reused(pipe):
    with record_attention(pipe) as recorded:
        draw(pipe, CAT, size=SQUARE)
    with reuse_attention(pipe, recorded):
        return draw(pipe, "a blue cat", size=SQUARE)


@pytest.mark.parametrize("change", [edited, reused])
def test_changed_attention(change):
    expected = change(make_sd())
    with emulated_device() as accelerator:
        pipe = make_sd().to("cuda")
        images, waits = waits_by_step(accelerator, pipe, lambda: change(pipe))
        assert torch.equal(images.cpu(), expected)
    # A step is selected by its timestep, which is on the device.
    assert waits[1] == {"pipeline_call/timesteps.py": 1}


def test_given_images():
    image = make_image(64, 64)
    expected = trace_image(make_sd(), image, CAT, seed=1)
    with emulated_device():
        found = trace_image(make_sd().to("cuda"), image, CAT, seed=1)
    assert_same([found], [expected])
