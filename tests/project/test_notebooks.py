"""Notebooks run from scratch; both versions of the assignments agree, and so do their checks."""

import importlib.util
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

FOLDER = ROOT / "notebooks"
ASSIGNMENTS = FOLDER / "assignments"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load(FOLDER / "execute.py")
maker = load(ASSIGNMENTS / "make.py")
checks = load(ASSIGNMENTS / "checks.py")

NOTEBOOKS = runner.notebooks()
SOLUTIONS = [path for path in NOTEBOOKS if path.parent.name == "solutions"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_scratch(path):
    runner.execute(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_executed(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr" for output in outputs
    )


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_student_version_is_the_solution_with_gaps(path):
    made = maker.student_version(nbformat.read(path, as_version=4))
    assert nbformat.read(ASSIGNMENTS / path.name, as_version=4) == made
    text = nbformat.writes(made)
    assert "SOLUTION" not in text
    assert text.count("NotImplementedError") >= 3
    assert "Your answer" in text


def dominance(pairs):
    chosen = pairs[(pairs["kind"] == "dependency") & (pairs["relation"] != "punct")]
    difference = (chosen["iod"] - chosen["ioh"]).groupby([chosen["prompt_id"], chosen["image"]])
    return float(difference.mean().groupby("prompt_id").mean().mean())


def area_difference(pairs):
    overlapping = pairs[pairs["iod"] > 0]
    logs = np.log(overlapping["iod"] / overlapping["ioh"])
    return float((logs - overlapping["log_area_ratio"]).abs().max())


def mass_on(heat, mask):
    return float(heat[mask].sum() / heat.sum()) if heat.sum() > 0 else math.nan


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (checks.check_dominance, dominance),
        (
            checks.check_area_identity,
            lambda t: float((np.log((t.iod / t.ioh)[t.iod > 0]) - t.log_area_ratio).abs().max()),
        ),
        (checks.check_mass_on, mass_on),
        (
            checks.check_leakage,
            lambda own, other: other / (own + other) if own + other else math.nan,
        ),
    ],
)
def test_a_right_answer_passes(check, right, capsys):
    check(right)
    assert capsys.readouterr().out.startswith("Right")


@pytest.mark.parametrize(
    ("check", "wrong", "hint"),
    [
        (checks.check_dominance, lambda t: (t["iod"] - t["ioh"]).mean(), "then over prompts"),
        (checks.check_dominance, lambda t: t, "Expected one number"),
        (checks.check_dominance, lambda t: dominance(t.fillna(0.0)), "its overlap is undefined"),
        (checks.check_area_identity, lambda t: 0.0, "IoD > 0"),
        (checks.check_mass_on, lambda heat, mask: heat[mask].mean(), "sum of the whole map"),
        (
            checks.check_mass_on,
            lambda heat, mask: float(heat[mask].sum() / max(heat.sum(), 1)),
            "NaN",
        ),
        (checks.check_leakage, lambda own, other: own / (own + other), "other / (own + other)"),
    ],
)
def test_a_wrong_answer_gets_a_hint(check, wrong, hint):
    with pytest.raises(AssertionError, match=re.escape(hint)):
        check(wrong)
