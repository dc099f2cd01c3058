"""Sessions of a run."""

import subprocess
import sys

from helpers.commands import ENVIRONMENT


def test_the_memory_of_a_run_excludes_that_of_the_program_that_started_it():
    child = "from daam_syntax.runs.drawing.sessions import peak_memory; print(peak_memory()['peak_memory'])"
    parent = (
        "import subprocess, sys, numpy; large = numpy.ones(10**8); "
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    command = [sys.executable, "-c", parent]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert 10**7 < int(done.stdout) < 6 * 10**8  # the parent has 8 * 10**8 bytes
