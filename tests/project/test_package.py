"""The package as it is installed: what importing costs, and a wheel in an empty environment."""

import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import daam_syntax
from helpers.imports import MODEL_LIBRARIES, loaded_by

ROOT = Path(__file__).parents[2]


def test_importing_loads_nothing_heavy():
    code = "import daam_syntax; dir(daam_syntax)"
    assert loaded_by(code, [*MODEL_LIBRARIES, "matplotlib", "pandas"]) == "[]"


def test_reading_and_measuring_load_no_model_library():
    rooms = ("language", "maps", "analysis", "figures")
    code = "; ".join(f"import daam_syntax.{room}" for room in rooms)
    assert loaded_by(code, MODEL_LIBRARIES) == "[]"
    assert loaded_by("import torch", MODEL_LIBRARIES) == "['torch']"  # the check itself can fail


def test_every_public_name_is_there():
    for name in daam_syntax.__all__:
        assert getattr(daam_syntax, name) is not None
    importlib.import_module("daam_syntax.workflow")  # must not take the place of a function
    assert callable(daam_syntax.analyze)
    assert callable(daam_syntax.trace)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        daam_syntax.nothing  # noqa: B018


def test_the_wheel_works_in_an_empty_environment(tmp_path):
    """Install the built wheel where nothing of the checkout is, and run the main command there."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    files = ("emoji-annotator/model.safetensors", "sprites/cat.png", "prompts/scenes.csv")
    for needed in ("emoji-model/unet/", *files):
        assert any(needed in name for name in names), needed
    assert wheel.stat().st_size < 60e6
    environment = tmp_path / "env"
    # Its own site-packages is empty but for the wheel; the dependencies are this environment's.
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    torch_home = Path(__import__("torch").__file__).parent.parent
    (site / "dependencies.pth").write_text(f"{torch_home}\n")
    # A path that leads to the checkout would hide the wheel.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "env": clean}
    command = [environment / "bin" / "daam-syntax", "analyze", "a red cat", "--steps", "1"]
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "pairs.csv").exists()
    where = [python, "-c", "import daam_syntax; print(daam_syntax.__file__)"]
    found = subprocess.run(where, check=True, **options)
    assert str(environment) in found.stdout
