"""Find a text-to-image pipeline: the embedded one, a folder in diffusers format, or one from the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import ModelError
from daam_syntax.util.data_files import data_path
from daam_syntax.util.library_output import quietly

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
        with quietly() if model == EMOJI else nullcontext():
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


def load_tokenizers(
    model: str | Path, names: Sequence[str], *, revision: str | None = None
) -> list[Any]:
    """Load only tokenizers of a pipeline, not its weights.

    Parameters
    ----------
    model, revision
        See `load_pipeline`.
    names
        The pipeline's attributes that hold them.

    Raises
    ------
    ModelError
        If one cannot be loaded.
    """
    from transformers import AutoTokenizer

    source = data_path(_EMOJI_FOLDER) if model == EMOJI else model
    try:
        with quietly():
            return [
                AutoTokenizer.from_pretrained(source, subfolder=name, revision=revision)
                for name in names
            ]
    except Exception as error:
        raise ModelError(
            f"Expected the tokenizers {', '.join(names)} of {str(model)!r}, but they could not be loaded: {error}"
        ) from error


def is_emoji(pipe: DiffusionPipeline) -> bool:
    """Whether a pipeline is the embedded one."""
    name = pipe.config.get("_name_or_path") or ""
    return Path(name).resolve() == data_path(_EMOJI_FOLDER).resolve()
