"""The command line: in a process of its own, as a user runs it, or in this one, where all is loaded already."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from daam_syntax import cli
from daam_syntax.util.library_output import quietly

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}


def command(*arguments):
    """Return what starts a command in a process of its own."""
    return [sys.executable, "-m", "daam_syntax.cli", *map(str, arguments)]


def run(*arguments, cwd):
    """Run a command in a process of its own: what it writes is all that a user sees."""
    options = {"cwd": cwd, "env": ENVIRONMENT, "capture_output": True, "text": True}
    return subprocess.run(command(*arguments), check=False, **options)


def run_here(*arguments, cwd):
    """Run a command in this process, which leaves out what the libraries cost and say when they are loaded."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        quietly(),  # a command silences the libraries for good
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["daam-syntax", *map(str, arguments)]),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
