"""Settings and fixtures that all tests share."""

import matplotlib
import pytest
import torch
from hypothesis import settings

matplotlib.use("Agg")
torch.set_num_threads(1)
# The same cases in every run: what a search finds by chance is no reason for a red gate. To search
# for new ones: python -m pytest --hypothesis-profile=default
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")


@pytest.fixture(scope="session")
def emoji_pipe():
    """The embedded model."""
    from daam_syntax import load_pipeline

    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe
