"""Find a text-to-image pipeline: the embedded one, a folder in diffusers format, or one from the Hub."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daam_syntax.data_files import data_path
from daam_syntax.errors import ModelError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

EMOJI: Final = "emoji"
"""Name of the embedded model."""

_EMOJI_FOLDER: Final = "emoji-model"


DTYPES: Final = ("float32", "float16", "bfloat16")
"""What weights may be loaded as."""


def load_pipeline(
    model: str | Path = EMOJI,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> DiffusionPipeline:
    """Load a text-to-image pipeline, ready to draw.

    Parameters
    ----------
    model
        ``"emoji"`` for the embedded model, a folder in diffusers format, or a Hub id such as
        ``"stabilityai/stable-diffusion-2-1-base"``.
    revision
        Branch, tag or commit on the Hub.
    device
        Where it runs: "cuda" where there is one, else "cpu"; or "mps", "cuda:1", ...
    dtype
        One of `DTYPES`: what the weights are loaded as. "float32" on a CPU and "float16" elsewhere if None; models
        released in bfloat16 (Flux, for instance) want "bfloat16". Maps are accumulated in 32 bits whatever it is.

    Returns
    -------
    diffusers.DiffusionPipeline
        In evaluation mode, with its own progress bar.

    Raises
    ------
    ModelError
        If there is no such model, device or dtype, or its files cannot be read.
    """
    import torch

    if dtype is not None and dtype not in DTYPES:
        raise ModelError(f"Expected one of the dtypes {', '.join(DTYPES)}, but got {dtype!r}.")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    source: str | Path = data_path(_EMOJI_FOLDER) if model == EMOJI else model
    dtype = dtype or ("float32" if device == "cpu" else "float16")
    options = {"safety_checker": None} if model == EMOJI else {}
    try:
        # The embedded model is there in a moment: bars and advice on its parts would only be noise.
        with _quietly() if model == EMOJI else nullcontext():
            from diffusers import DiffusionPipeline

            pipeline = DiffusionPipeline.from_pretrained(
                source, dtype=getattr(torch, dtype), revision=revision, **options
            )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Expected a model: {EMOJI!r}, a folder in diffusers format (with a model_index.json), or a "
            f"Hub id; but {str(model)!r} could not be loaded: {reason}"
        ) from error
    try:
        return pipeline.to(device)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # the latter of a build without that kind of device
        raise ModelError(
            f"Expected a device that is there (cpu, cuda, mps, ...), but {device!r} cannot be used: "
            f"{str(error).splitlines()[0]}"
        ) from error


def is_emoji(pipe: DiffusionPipeline) -> bool:
    """Whether a pipeline is the embedded one."""
    name = pipe.config.get("_name_or_path") or ""
    return Path(name).resolve() == data_path(_EMOJI_FOLDER).resolve()


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the progress bars and warnings of diffusers and transformers from being shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook, tqdm asks for widgets when it is imported
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
