"""Loading the embedded model."""

import subprocess
import sys

PROBE = """
from transformers.utils import logging
before = logging.get_verbosity(), logging.is_progress_bar_enabled()
import daam_syntax as ds
ds.load_pipeline()
assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
"""


def test_the_embedded_model_loads_without_a_word():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
