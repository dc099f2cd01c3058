"""Run the command line, in a new process as a user does, or in this process, where the libraries are loaded."""

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
    """Return the arguments that start a command in a new process."""
    return [sys.executable, "-m", "daam_syntax.cli", *map(str, arguments)]


def run(*arguments, cwd):
    """Run a command in a new process, and return its complete output."""
    options = {"cwd": cwd, "env": ENVIRONMENT, "capture_output": True, "text": True}
    return subprocess.run(command(*arguments), check=False, **options)


def run_here(*arguments, cwd):
    """Run a command in this process, without the time and the messages of loading the libraries."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        quietly(),  # restores the libraries' logging, which a command disables
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
