"""Find a text-to-image pipeline: the embedded one, a folder in diffusers format, or one from the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from daam_syntax.data_files import data_path
from daam_syntax.errors import ModelError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

EMOJI: Final = "emoji"
"""Name of the embedded model."""

_EMOJI_FOLDER: Final = "emoji-model"


def load_pipeline(
    model: str | Path = EMOJI, *, revision: str | None = None, device: str | None = None
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
        Where it runs; "cuda" where there is one, else "cpu". On a CPU, weights are kept in 32 bits.

    Returns
    -------
    diffusers.DiffusionPipeline
        In evaluation mode, with its own progress bar.

    Raises
    ------
    ModelError
        If there is no such model, or its files cannot be read.
    """
    import torch
    from diffusers import DiffusionPipeline

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    source: str | Path = data_path(_EMOJI_FOLDER) if model == EMOJI else model
    dtype = torch.float32 if device == "cpu" else torch.float16
    # Loading explains itself with warnings and bars that say nothing to our users.
    options = {"safety_checker": None} if model == EMOJI else {}
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            source, dtype=dtype, revision=revision, **options
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Expected a model: {EMOJI!r}, a folder in diffusers format (with a model_index.json), or a "
            f"Hub id; but {str(model)!r} could not be loaded: {reason}"
        ) from error
    pipeline.to(device)
    return pipeline


def is_emoji(pipe: DiffusionPipeline) -> bool:
    """Whether a pipeline is the embedded one."""
    name = pipe.config.get("_name_or_path") or ""
    return Path(name).resolve() == data_path(_EMOJI_FOLDER).resolve()
