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


def test_heat_maps_load_without_scipy_which_only_measures_and_diagnosis_need():
    assert loaded_by("from daam_syntax.maps import HeatMaps", ["scipy"]) == "[]"


def test_every_public_name_is_there():
    for name in daam_syntax.__all__:
        assert getattr(daam_syntax, name) is not None
    importlib.import_module("daam_syntax.workflow")  # must not take the place of a function
    assert callable(daam_syntax.analyze)
    assert callable(daam_syntax.trace)
    with pytest.raises(AttributeError, match="attribute nothing"):
        daam_syntax.nothing  # noqa: B018


def files_of(folder):
    """The files of a folder of the checkout, as paths of a wheel."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in paths if path.suffix != ".pyc"}


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(tmp_path):
    """Install the built wheel where nothing of the checkout is, and run the main command there."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    expected = files_of("daam_syntax") | {f"daam_syntax/{name}" for name in files_of("data")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    suffixes = {Path(name).suffix for name in expected}
    assert {".py", ".pyi", ".typed", ".html", ".js", ".css", ".safetensors", ".png"} <= suffixes
    assert wheel.stat().st_size < 60e6
    environment = tmp_path / "env"
    # Only the wheel is in its own site-packages; the dependencies are those of this environment.
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    torch_home = Path(__import__("torch").__file__).parent.parent
    (site / "dependencies.pth").write_text(f"{torch_home}\n")
    # A path to the checkout would hide the wheel.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "env": clean}
    command = [environment / "bin" / "daam-syntax", "analyze", "a red cat", "--steps", "1"]
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "pairs.csv").exists()
    where = [python, "-c", "import daam_syntax; print(daam_syntax.__file__)"]
    found = subprocess.run(where, check=True, **options)
    assert str(environment) in found.stdout
