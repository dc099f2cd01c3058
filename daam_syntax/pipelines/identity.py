"""The identity of a model: recorded as provenance, and compared before a run is resumed."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from daam_syntax.emoji import model as embedded
from daam_syntax.pipelines.devices import execution_device
from daam_syntax.pipelines.fingerprints import fingerprint
from daam_syntax.util.version import __version__

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_SNAPSHOT = re.compile(r"snapshots[/\\]([0-9a-f]{40})")  # folder names in the cache of the Hub


def model_name(pipe: DiffusionPipeline) -> str | None:
    """Return the name or path that a model was loaded from; None if the pipeline was assembled from its parts."""
    if embedded.is_emoji(pipe):
        return embedded.NAME
    name = getattr(pipe, "name_or_path", None)
    return str(name) if name else None


def identify(pipe: DiffusionPipeline) -> dict[str, Any]:
    """Identify a model, so that a run is not resumed with another one.

    Returns
    -------
    dict
        ``model`` (see `model_name`; else the class of the pipeline), ``scheduler`` (its class), and ``fingerprint``:
        a checksum of all weights and buffers, of the tokenizers, and of the scheduler's settings.
    """
    return {
        "model": model_name(pipe) or type(pipe).__name__,
        "scheduler": _scheduler(pipe),
        "fingerprint": fingerprint(pipe),
    }


def identify_on_device(pipe: DiffusionPipeline, revision: str | None = None) -> dict[str, Any]:
    """Identify a model and how it computes, since both change the images.

    Parameters
    ----------
    pipe
        The pipeline.
    revision
        The revision that was requested from the Hub.

    Returns
    -------
    dict
        The keys of `identify`; ``revision``, ``device`` (its type, such as "cuda") and ``dtype``.
    """
    return {
        **identify(pipe),
        "revision": revision,
        "device": execution_device(pipe).type,
        "dtype": _dtype(pipe),
    }


def describe_pipeline(pipe: DiffusionPipeline, denoiser: Any, family: str) -> dict[str, Any]:
    """Describe a pipeline with its current settings, for the provenance of what it draws.

    Parameters
    ----------
    pipe
        The pipeline.
    denoiser
        Its U-Net or transformer.
    family
        Name of its model family.

    Returns
    -------
    dict
        ``pipeline`` (class), ``family``, ``model`` (see `model_name`), ``revision`` (a commit of the Hub, None if
        unknown), ``scheduler`` (class), ``guidance_scale`` (None if unknown), ``dtype`` of the denoiser, and
        ``versions`` of the libraries. All values can be written as JSON.
    """
    paths = (getattr(pipe, "name_or_path", None), getattr(denoiser, "name_or_path", None))
    snapshots = (_SNAPSHOT.search(str(path)) for path in paths)
    guidance_scale = getattr(pipe, "guidance_scale", None)
    return {
        "pipeline": type(pipe).__name__,
        "family": family,
        "model": model_name(pipe),
        "revision": next((found.group(1) for found in snapshots if found), None),
        "scheduler": _scheduler(pipe),
        "guidance_scale": None if guidance_scale is None else float(guidance_scale),
        "dtype": _dtype(denoiser),
        "versions": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries that determine the images."""
    return {"daam_syntax": __version__, **_installed_versions()}


@cache  # Reading them takes milliseconds, which count when a small model draws often.
def _installed_versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "diffusers", "transformers")}


def _scheduler(pipe: DiffusionPipeline) -> str:
    return type(pipe.scheduler).__name__


def _dtype(model: Any) -> str:
    return str(model.dtype).removeprefix("torch.")
