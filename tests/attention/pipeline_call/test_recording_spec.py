"""What a trace records: one set of parameters, normalized and checked."""

import dataclasses
import inspect

import pytest

from daam_syntax.attention import trace
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.tracing import Trace
from daam_syntax.errors import PromptError


def test_trace_has_the_parameters_of_the_spec():
    of_trace = inspect.signature(trace).parameters
    of_spec = inspect.signature(RecordingSpec).parameters
    assert set(of_trace) == {"pipe", "parser", *of_spec}
    assert {name: each.default for name, each in of_spec.items()} == {
        name: of_trace[name].default for name in of_spec
    }
    for documented in (trace.__doc__, RecordingSpec.__doc__):
        assert all(f"\n    {name}\n" in documented for name in of_spec)


def test_values_are_normalized(sd):
    spec = trace(sd, keep="head", also="a dog", prompts="a cat").spec
    assert (spec.keep, spec.also, spec.prompts) == (("head",), ("a dog",), ("a cat",))
    spec = RecordingSpec(keep=("layer", "step", "layer"), also=("a dog", "a cat", "a dog"))
    assert spec.keep == ("step", "layer")
    assert spec.also == ("a dog", "a cat")
    assert RecordingSpec(also="a dog") == RecordingSpec(also=("a dog",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.refine = True
    assert Trace(sd).spec == RecordingSpec()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"keep": ("word",)}, ValueError),
        ({"steps": slice(0.5, 1.5)}, ValueError),
        ({"steps": (-1,)}, ValueError),
        ({"also": (" ",)}, PromptError),
        ({"prompts": ("",)}, PromptError),
    ],
)
def test_what_cannot_be_recorded_is_refused(options, error):
    with pytest.raises(error):
        RecordingSpec(**options)
