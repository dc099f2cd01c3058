"""Runs of models whose denoiser attends to several text encoders."""

import functools

import numpy as np
import pytest

from daam_syntax import runs
from helpers.family_cases import CASES
from helpers.family_pipelines import make

PROMPTS = [
    "a red cat",
    "a red owl and a red owl " * 20,
]  # CLIP does not read the second one to the end


def with_arguments(pipe, monkeypatch, arguments):
    """Pass further arguments to every call of a pipeline."""
    original = type(pipe).__call__

    @functools.wraps(original)  # the trace reads the names of the parameters
    def call(self, *args, **kwargs):
        return original(self, *args, **{**arguments, **kwargs})

    monkeypatch.setattr(type(pipe), "__call__", call)


@pytest.mark.parametrize("name", ["SD3", "HunyuanDiT"])
def test_stored_maps_keep_their_text_encoders(tmp_path, monkeypatch, name):
    (case,) = (each for each in CASES if each.name == name)
    pipe = make(name)
    with_arguments(pipe, monkeypatch, case.arguments)
    run = runs.run(PROMPTS, tmp_path, pipe, steps=1, height=64, width=96, batch_size=2)
    assert run.images()["status"].tolist() == ["drawn", "drawn"]
    short, long = run.maps()
    for maps in (short, long):
        assert maps.encoders == tuple(case.encoders)
        for encoder in case.encoders:
            assert np.isfinite(maps.encoder(encoder).stack([1])).all()
    assert dict(short.truncated_by) == dict.fromkeys(case.encoders)
    assert long.truncated_by["clip"] is not None
    assert run.words()["status"].notna().all()
    again = run.reanalyze(threshold="absolute:0.01")
    assert len(again.pairs()) == len(run.pairs())
