"""The identity of a model: one name, in provenance and in the settings of a run."""

import copy
import json
from contextlib import contextmanager

import accelerate
import pytest
import torch

import daam_syntax as ds
from daam_syntax.attention.families import family_of
from daam_syntax.attention.pipeline_call.provenance import provenance_of
from daam_syntax.pipelines.fingerprints import fingerprint
from daam_syntax.pipelines.identity import identify, identify_on_device, model_name
from daam_syntax.pipelines.loading import load_pipeline
from helpers.imports import loaded_by


def test_the_embedded_model_has_one_name(emoji_pipe):
    identity = identify(emoji_pipe)
    assert model_name(emoji_pipe) == identity["model"] == "emoji"
    recorded = provenance_of(emoji_pipe, family_of(emoji_pipe))
    shared = recorded.keys() & identity.keys()
    assert shared == {"model", "scheduler"}
    assert all(recorded[key] == identity[key] for key in shared)


def test_a_pipeline_made_of_parts_is_identified_by_its_class(sd):
    assert model_name(sd) is None
    assert identify(sd)["model"] == "StableDiffusionPipeline"


def test_an_identity_depends_on_weights_and_scheduler(sd):
    before = identify_on_device(sd, "v1")
    assert list(before) == ["model", "scheduler", "fingerprint", "revision", "device", "dtype"]
    assert (before["revision"], before["device"], before["dtype"]) == ("v1", "cpu", "float32")
    assert identify_on_device(sd, "v1") == before
    weight, scheduler = next(sd.unet.parameters()), sd.scheduler
    original = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(0.5)
        assert identify(sd)["fingerprint"] != before["fingerprint"]
    finally:
        with torch.no_grad():
            weight.copy_(original)
    try:
        sd.scheduler = type(scheduler).from_config(scheduler.config, steps_offset=3)
        assert identify(sd)["fingerprint"] != before["fingerprint"]
    finally:
        sd.scheduler = scheduler
    assert identify(sd)["fingerprint"] == before["fingerprint"]


def test_settings_and_the_embedded_model_are_known_without_torch():
    code = "import daam_syntax.pipelines.settings, daam_syntax.emoji.model as m; m.model_folder()"
    assert loaded_by(code, ["torch", "diffusers"]) == "[]"


@contextmanager
def changed(tensor, change):
    """Change a tensor in place inside the block."""
    original = tensor.detach().clone()
    with torch.no_grad():
        change(tensor)
    try:
        yield
    finally:
        with torch.no_grad():
            tensor.copy_(original)


def negate_the_rest(weight):
    weight.flatten()[8:].neg_()


def patch_a_row(weight):
    weight[len(weight) // 2] += 0.5


def exchange_rows(weight):
    weight[[1, 2]] = weight[[2, 1]]


@pytest.mark.parametrize("change", [negate_the_rest, patch_a_row, exchange_rows])
def test_every_number_of_every_weight_counts(sd, change):
    before = identify(sd)["fingerprint"]
    for module in (sd.unet, sd.text_encoder, sd.vae):
        weight = max(module.parameters(), key=lambda each: each.numel())
        with changed(weight, change):
            assert identify(sd)["fingerprint"] != before
    assert identify(sd)["fingerprint"] == before


def test_buffers_tokens_and_dtypes_count(sd):
    before = identify(sd)["fingerprint"]
    sd.unet.register_buffer("scale", torch.ones(3))
    try:
        with_buffer = identify(sd)["fingerprint"]
        assert with_buffer != before
        with changed(sd.unet.scale, lambda scale: scale.mul_(2)):
            assert identify(sd)["fingerprint"] not in (before, with_buffer)
    finally:
        del sd.unet.scale
    tokenizer = sd.tokenizer
    try:
        sd.tokenizer = copy.deepcopy(tokenizer)
        assert identify(sd)["fingerprint"] == before
        sd.tokenizer("a cat", padding="max_length", truncation=True)
        assert identify(sd)["fingerprint"] == before
        sd.tokenizer.add_tokens("<zebra>")
        assert identify(sd)["fingerprint"] != before
    finally:
        sd.tokenizer = tokenizer
    try:
        sd.vae.to(torch.bfloat16)
        assert identify(sd)["fingerprint"] != before
    finally:
        sd.vae.to(torch.float32)


def test_buffers_that_are_not_saved_count(sd):
    before = identify(sd)["fingerprint"]
    (positions,) = [b for name, b in sd.text_encoder.named_buffers() if "position_ids" in name]
    with changed(positions, lambda numbers: numbers.copy_(numbers.flip(-1))):
        assert identify(sd)["fingerprint"] != before
    assert identify(sd)["fingerprint"] == before


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("vae", "scaling_factor", 0.5),
        ("unet", "act_fn", "gelu"),
        ("text_encoder", "hidden_act", "gelu"),
        ("scheduler", "prediction_type", "v_prediction"),
    ],
)
def test_a_folder_with_other_settings_is_another_model(sd, tmp_path, part, name, value):
    """Settings change the images without changing a weight."""
    sd.save_pretrained(tmp_path)
    before = fingerprint(load_pipeline(tmp_path))
    file = "scheduler_config.json" if part == "scheduler" else "config.json"
    path = tmp_path / part / file
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "_diffusers_version": "9", "_name_or_path": "x"}))
    assert fingerprint(load_pipeline(tmp_path)) == before
    path.write_text(json.dumps({**written, name: value}))
    assert fingerprint(load_pipeline(tmp_path)) != before


def test_drawing_and_tracing_leave_the_identity_as_it_is(emoji_pipe):
    before = fingerprint(emoji_pipe)
    ds.analyze("a red cat", emoji_pipe, steps=1, height=64, width=64, relations=["encoder"])
    assert fingerprint(emoji_pipe) == before


def test_offloaded_weights_count(sd):
    pipe = copy.deepcopy(sd)
    before = fingerprint(pipe)
    for name in ("unet", "text_encoder"):
        accelerate.cpu_offload(getattr(pipe, name), torch.device("cpu"))
    assert next(pipe.unet.parameters()).is_meta
    assert fingerprint(pipe) == before
    other = copy.deepcopy(sd)
    with torch.no_grad():
        next(other.unet.parameters()).neg_()
    accelerate.cpu_offload(other.unet, torch.device("cpu"))
    assert fingerprint(other) != before
