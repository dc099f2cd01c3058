"""Loading the embedded model, and errors of loading."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import daam_syntax as ds
from daam_syntax.errors import ModelError

PROBE = """
from transformers.utils import logging
before = logging.get_verbosity(), logging.is_progress_bar_enabled()
import daam_syntax as ds
ds.load_pipeline()
assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
"""


@pytest.mark.slow
def test_loading_the_embedded_model_prints_nothing():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("dtype", "expected"), [(None, "float32"), ("bfloat16", "bfloat16")])
def test_weights_have_the_requested_dtype(dtype, expected):
    pipe = ds.load_pipeline(device="cpu", dtype=dtype)
    assert str(pipe.dtype) == f"torch.{expected}"
    with ds.trace(pipe) as trace:
        pipe("a red cat", num_inference_steps=1, width=96)
    (maps,) = trace.heat_maps()
    assert maps["cat"].values.dtype == np.float32
    assert np.isfinite(maps["cat"].values).all()


def test_a_revision_of_a_model_on_this_computer_is_refused(tmp_path):
    for model in ("emoji", tmp_path):
        with pytest.raises(ModelError, match=r"Hub id with revision='main'.*leave it out"):
            ds.load_pipeline(model, revision="main")


@pytest.mark.parametrize("wrong", [{"dtype": "int3"}, {"device": "abacus"}, {"device": "cuda:77"}])
def test_unknown_dtypes_and_devices_are_refused(wrong):
    with pytest.raises(ModelError, match="Expected"):
        ds.load_pipeline(**wrong)


def test_a_damaged_model_folder_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="could not be loaded"):
        ds.load_pipeline(tmp_path)


def test_pickled_weights_are_not_loaded(emoji_pipe, tmp_path):
    emoji_pipe.save_pretrained(tmp_path)
    (weights,) = (tmp_path / "unet").glob("*.safetensors")
    weights.unlink()
    for state in (emoji_pipe.unet.state_dict(), emoji_pipe.unet):  # the second runs code
        torch.save(state, weights.with_suffix(".bin"))
        with pytest.raises(ModelError, match="not in the format safetensors") as refused:
            ds.load_pipeline(tmp_path)
        assert "weights_only" not in str(refused.value)
