"""Load a text-to-image pipeline: the embedded model, a folder in diffusers format, or a model on the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.emoji import model as embedded
from daam_syntax.errors import ModelError
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.library_output import quietly

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

DEFAULT_MODEL: Final = embedded.NAME
"""The default model."""

_PICKLED: Final = ("weights_only", "pickle", ".bin", "safetensors found")

DTYPES: Final = ("float32", "float16", "bfloat16")
"""Number formats in which weights can be loaded."""


@checked
def load_pipeline(
    model: str | Path = DEFAULT_MODEL,
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
        Branch, tag or commit on the Hub; refused for a model on this computer.
    device
        Device to run on, for instance "cuda:1" or "mps". If None, "cuda" where a GPU is available, else "cpu".
    dtype
        Number format of the weights, one of `DTYPES`. If None, "float32" on a CPU and "float16" elsewhere. Models
        released in bfloat16 (Flux, for instance) need "bfloat16". Heat maps are accumulated in 32 bits in any case.

    Returns
    -------
    diffusers.DiffusionPipeline
        In evaluation mode, with its own progress bar.

    Raises
    ------
    ModelError
        If the model, device or dtype does not exist, or the model's files cannot be read.
    """
    import torch

    check_dtype(dtype)
    if revision is not None and (model == embedded.NAME or Path(model).is_dir()):
        raise ModelError(
            f"Expected a Hub id with revision={revision!r}, but {str(model)!r} is on this computer, where a model has "
            "no revisions: leave it out."
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("float32" if device == "cpu" else "float16")
    options: dict[str, Any] = {"safety_checker": None} if model == embedded.NAME else {}
    try:
        # The embedded model loads in a moment: progress bars and advice about its parts would be noise.
        with quietly() if model == embedded.NAME else nullcontext():
            from diffusers import DiffusionPipeline

            pipeline = DiffusionPipeline.from_pretrained(
                _source(model),
                dtype=getattr(torch, dtype),
                revision=revision,
                use_safetensors=True,  # other weights are pickled, and could run code
                **options,
            )
    except Exception as error:
        raise ModelError(
            f"Expected a model: {embedded.NAME!r}, a folder in diffusers format (with a model_index.json), or a "
            f"Hub id; but {str(model)!r} could not be loaded: {_reason(error)}"
        ) from error
    try:
        return pipeline.to(device)
    except (RuntimeError, AssertionError) as error:  # builds of torch without the device assert
        raise ModelError(
            f"Expected an available device (cpu, cuda, mps, ...), but {device!r} cannot be used: "
            f"{str(error).splitlines()[0]}"
        ) from error


def check_dtype(dtype: str | None) -> None:
    """Check the name of a number format; None is one, too.

    Raises
    ------
    ModelError
        If it is unknown.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ModelError(f"Expected one of the dtypes {', '.join(DTYPES)}, but got {dtype!r}.")


def load_tokenizers(
    model: str | Path, names: Sequence[str], *, revision: str | None = None
) -> list[Any]:
    """Load tokenizers of a pipeline without its weights.

    Parameters
    ----------
    model, revision
        See `load_pipeline`.
    names
        Names of the tokenizers, which are attributes of the pipeline.

    Raises
    ------
    ModelError
        If a tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quietly():
            return [
                AutoTokenizer.from_pretrained(_source(model), subfolder=name, revision=revision)
                for name in names
            ]
    except Exception as error:
        raise ModelError(
            f"Expected the tokenizers {', '.join(names)} of {str(model)!r}, but they could not be loaded: {error}"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first line of an error; advice of libraries to load pickled weights is not passed on."""
    text = str(error).strip()
    if any(word in text for word in _PICKLED):
        return (
            "it has weights that are not in the format safetensors; pickled weights can run code and are not loaded, "
            "so choose a model in safetensors"
        )
    return text.splitlines()[0] if text else type(error).__name__


def _source(model: str | Path) -> str | Path:
    """Return the folder or Hub id from which a model is loaded."""
    return embedded.model_folder() if model == embedded.NAME else model
