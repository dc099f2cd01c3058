"""What differs on Windows and macOS, emulated: modules that are missing there, and how processes start."""

import ast
import multiprocessing
import re
import sys
from pathlib import Path

import dask
import distributed  # noqa: F401 - puts its settings into dask.config
import pytest

import daam_syntax as ds
from daam_syntax import runs
from daam_syntax.errors import DaamSyntaxError
from daam_syntax.runs.drawing import sessions

MODULES = ("crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios")
ATTRIBUTES = ("fork", "geteuid", "getuid", "killpg", "mkfifo", "setsid", "SIGKILL", "uname")
POSIX_ONLY = re.compile(rf"\b({'|'.join((*MODULES, *ATTRIBUTES))})\b")


def asked_for(path):
    """The modules and attributes that only POSIX has, and that a file of code uses."""
    text = path.read_text(encoding="utf-8")
    if not POSIX_ONLY.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name in MODULES)
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            yield node.attr


def test_what_only_posix_has_is_not_asked_for_on_windows(monkeypatch):
    package = Path(ds.__file__).parent
    found = {(path.name, name) for path in package.rglob("*.py") for name in asked_for(path)}
    assert found == {("sessions.py", "resource")}
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(sessions, "Path", lambda *parts: Path("nowhere"))  # no /proc
    assert "peak_memory" not in sessions.peak_memory()


def test_workers_are_spawned_on_every_system():
    """The tests of clusters start workers as Windows and macOS do."""
    assert dask.config.get("distributed.worker.multiprocessing-method") == "spawn"


def test_a_script_that_a_worker_imports_does_not_start_its_run_again(tmp_path, monkeypatch):
    """`multiprocessing` marks the process that imports the script of its parent."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(DaamSyntaxError, match="below the line `if __name__"):
        runs.run(["a cat"], tmp_path / "out")
    with pytest.raises(DaamSyntaxError, match="below the line `if __name__"):
        ds.analyze("a cat", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
