"""Settings and fixtures that all tests share."""

import os

# Read when torch is loaded, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib
import psutil
import pytest
from hypothesis import settings

matplotlib.use("Agg")
# The same cases in every run: what a search finds by chance is no reason for a red gate. To search
# for new ones: python -m pytest --hypothesis-profile=default
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")

# Bytes: torch, a parser and the embedded model, and a process that a test starts.
WORKER_MEMORY = 2 * 2**30


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config):
    """Share all tests out among the cores, as far as memory goes; run chosen ones in this process."""
    if config.args_source != pytest.Config.ArgsSource.TESTPATHS:
        return 0
    fitting = psutil.virtual_memory().available // WORKER_MEMORY
    workers = min(psutil.cpu_count() or 1, fitting)
    return workers if workers > 1 else 0


@pytest.fixture(scope="session")
def emoji_pipe():
    """The embedded model."""
    from daam_syntax import load_pipeline

    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def sd():
    """A tiny Stable Diffusion 1."""
    from helpers.tiny_pipelines import make_sd

    return make_sd()


@pytest.fixture(scope="module")
def sdxl():
    """A tiny SDXL."""
    from helpers.tiny_pipelines import make_sdxl

    return make_sdxl()


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def pipe(request):
    """Both of them."""
    return request.getfixturevalue(request.param)
