"""Hide the output of diffusers and transformers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """Hide the progress bars and warnings of diffusers and transformers inside the block."""
    with warnings.catch_warnings():
        # Importing tqdm in a notebook without widgets warns.
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

    before = []
    for logging in (diffusers_logging, transformers_logging):
        before.append((logging, logging.get_verbosity(), logging.is_progress_bar_enabled()))
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging, verbosity, had_bar in before:
            logging.set_verbosity(verbosity)
            if had_bar:
                logging.enable_progress_bar()
