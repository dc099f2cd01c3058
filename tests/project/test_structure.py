"""The tree: folders of a dozen modules, packages that say what they hold, names that shadow nothing."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import daam_syntax
from helpers.imports import module_files

ROOT = Path(__file__).parents[2]
MOST_MODULES = 14  # of one folder, with its __init__
FILES = module_files()
PACKAGES = [module for module, path in FILES.items() if path.name == "__init__.py"]
ROOMS = sorted(path.parent.name for path in (ROOT / "daam_syntax").glob("*/__init__.py"))


def public_definitions(path):
    """The public functions and classes that a module defines."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {n.name for n in nodes if isinstance(n, kinds) and not n.name.startswith("_")}


def test_no_folder_is_crowded():
    folders = {path.parent for path in FILES.values()}
    sizes = {str(f.relative_to(ROOT)): len(list(f.glob("*.py"))) for f in folders}
    assert {folder: n for folder, n in sizes.items() if n > MOST_MODULES} == {}


def test_every_package_says_what_it_holds():
    texts = {
        m: ast.get_docstring(ast.parse(FILES[m].read_text(encoding="utf-8"))) for m in PACKAGES
    }
    assert [module for module, text in texts.items() if not text] == []


def test_no_module_is_named_like_what_it_defines():
    named = {m: public_definitions(path) for m, path in FILES.items() if m.count(".")}
    assert [m for m, names in named.items() if m.rpartition(".")[2] in names] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_takes_the_place_of_what_its_package_offers(package):
    """Importing a module binds its name in the package, over a function of that name."""
    loaded = importlib.import_module(package)
    offered = set(getattr(loaded, "__all__", ()))
    modules = {m.rpartition(".")[2] for m in FILES if m.rpartition(".")[0] == package}
    assert [n for n in offered & modules if not inspect.ismodule(getattr(loaded, n))] == []


def test_every_name_of_the_stub_is_offered():
    stub = (ROOT / "daam_syntax" / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r"^from \S+ import \w+ as (\w+)$", stub, re.MULTILINE)
    assert len(names) == len(set(names)) > 30
    assert set(names) == set(daam_syntax.__all__) - {"__version__"} <= set(dir(daam_syntax))
    for name in names:
        assert getattr(daam_syntax, name) is not None


def test_every_room_is_reachable_from_the_package_at_once():
    wanted = [room for room in ROOMS if room not in ("cli", "util")]
    code = f"import daam_syntax as ds; print([getattr(ds, room).__name__ for room in {wanted}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == str([f"daam_syntax.{room}" for room in wanted]), done.stderr


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_module_is_ignored_by_git():
    paths = [str(path) for path in FILES.values()]
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(paths), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr  # 1: none is ignored
    run = subprocess.run([*command[:3], "runs/today"], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "runs/today\n"  # the check can fail


def test_the_tests_mirror_the_package():
    """Each room that has tests has them in a folder of its name, and no test is imported by another."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders - {"helpers", "project", "__pycache__"} <= set(ROOMS)
    sources = {p: p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py")}
    importing = re.compile(r"^\s*(from|import) (\S*\.)?(test_\w+|conftest)\b", re.MULTILINE)
    assert [str(path) for path, text in sources.items() if importing.search(text)] == []
    for folder in ("benchmarks", "tests"):
        texts = {p: p.read_text(encoding="utf-8") for p in (ROOT / folder).rglob("*.py")}
        other = {"benchmarks": "tests", "tests": "benchmarks"}[folder]
        path = re.compile(rf"sys\.path.*[\"']{other}[\"']")
        assert [str(p) for p, text in texts.items() if path.search(text)] == []


def test_every_test_file_has_a_test():
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert [str(p) for p in files if "def test_" not in p.read_text(encoding="utf-8")] == []


def test_the_map_of_contributing_is_the_tree():
    """The indented list in CONTRIBUTING.md names every folder of the package, in its place."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = next(b for b in text.split("```") if b.startswith("\ndaam_syntax/\n"))
    place, listed = [], set()
    for line in block.splitlines():
        if found := re.match(r"( *)([\w/]+)/(\s|$)", line):
            place = [*place[: len(found[1]) // 2], found[2]]
            listed.add("/".join(place))
    folders = {path.parent.relative_to(ROOT).as_posix() for path in FILES.values()}
    assert {folder for folder in listed if folder.startswith("daam_syntax")} == folders
