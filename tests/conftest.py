"""Settings and fixtures of all tests."""

import atexit
import gc
import os
import sys

# Read when torch is imported, here and in processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib
import psutil
import pytest
from hypothesis import settings

matplotlib.use("Agg")
# The same cases in every run, so that chance does not decide whether the gate passes. To search for
# new ones: python -m pytest --hypothesis-profile=default
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")

# Bytes: torch, a parser, the embedded model, and one process that a test starts.
WORKER_MEMORY = 2 * 2**30


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config):
    """Spread all tests over the cores, as far as memory allows; run named files in this process."""
    if config.args_source != pytest.Config.ArgsSource.TESTPATHS:
        return 0
    fitting = psutil.virtual_memory().available // WORKER_MEMORY
    workers = min(psutil.cpu_count() or 1, fitting)
    return workers if workers > 1 else 0


@pytest.fixture(scope="module", autouse=True)
def figures_are_closed():
    """Close the figures that a file of tests left open: Matplotlib warns at the twentieth."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session", autouse=True)
def garbage_is_collected_at_the_exit():
    """Undo what the command line does in its own process, see `collect_garbage_rarely`."""
    yield
    atexit.unregister(gc.freeze)


@pytest.fixture(scope="session")
def emoji_pipe():
    """Return the embedded model."""
    from daam_syntax import load_pipeline

    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def sd():
    """Return a tiny Stable Diffusion 1."""
    from helpers.tiny_pipelines import make_sd

    return make_sd()


@pytest.fixture(scope="module")
def sdxl():
    """Return a tiny SDXL."""
    from helpers.tiny_pipelines import make_sdxl

    return make_sdxl()


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def pipe(request):
    """Return a tiny Stable Diffusion 1, then a tiny SDXL."""
    return request.getfixturevalue(request.param)
