"""The identity of a model: one name, in provenance and in the settings of a run."""

import torch

from daam_syntax.attention.families import family_of
from daam_syntax.attention.pipeline_call.provenance import provenance_of
from daam_syntax.pipelines.identity import identify, identify_on_device, model_name
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
