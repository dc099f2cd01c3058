"""`daam-syntax check-gpu`: what it prints, its file, and its exit code."""

import json

import pytest
import torch

from daam_syntax.attention.softmax.layer_sums import LayerSums
from helpers.commands import run_here

FAST = ["--device", "cpu", "--steps", 3, "--rounds", 1]


def test_all_is_right(tmp_path):
    done = run_here("check-gpu", *FAST, "--out", "found.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "identical with and without a trace" in done.stdout
    assert "exact: at most" in done.stdout
    assert "All is right" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["is_right"] is True
    assert found["largest_error"] < 1e-6
    assert found["versions"]["torch"] == torch.__version__


def test_wrong_maps_end_with_one_line_and_an_exit_code(tmp_path, monkeypatch):
    add = LayerSums.add

    def spoiled(self, path, grid, probabilities, step=0):
        add(self, path, grid, probabilities * 1.001, step)

    monkeypatch.setattr(LayerSums, "add", spoiled)
    done = run_here("check-gpu", *FAST, "--out", "found.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "NOT EXACT" in done.stdout
    assert "All is right" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "Comparing" not in line]
    assert "exact to 1e-6" in line
    assert json.loads((tmp_path / "found.json").read_text())["is_right"] is False


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU"
)
def test_without_a_gpu_the_remedy_is_one_that_works(tmp_path):
    done = run_here("check-gpu", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "--device cpu" in line  # `test_all_is_right` does that
