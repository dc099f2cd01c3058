"""Where a recording comes from: model, settings, seed, versions."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from daam_syntax.attention.families import Family
from daam_syntax.util.version import __version__

INTERVENTIONS: WeakKeyDictionary[nn.Module, dict[str, Any]] = WeakKeyDictionary()
"""What is being done at this moment to the attention of a denoiser, as values for JSON."""

_SNAPSHOT = re.compile(r"snapshots[/\\]([0-9a-f]{40})")  # the folder names of the Hub's cache


def describe_pipeline(pipe: Any, family: Family) -> dict[str, Any]:
    """Describe a pipeline as it is set while it draws.

    Returns
    -------
    dict
        ``pipeline`` (class), ``family``, ``model`` (name or path) and ``revision`` (None where not
        known), ``scheduler`` (class), ``guidance_scale`` (None where not known), ``dtype`` of the
        denoiser, and ``versions`` of the libraries; during an intervention, ``intervention``. All
        values can be written as JSON.
    """
    denoiser = family.denoiser_of(pipe)
    places = (getattr(pipe, "name_or_path", None), getattr(denoiser, "name_or_path", None))
    snapshots = (_SNAPSHOT.search(str(place)) for place in places)
    guidance_scale = getattr(pipe, "guidance_scale", None)
    return {
        "pipeline": type(pipe).__name__,
        "family": family.name,
        "model": str(places[0]) if places[0] else None,
        "revision": next((found.group(1) for found in snapshots if found), None),
        "scheduler": type(pipe.scheduler).__name__,
        "guidance_scale": None if guidance_scale is None else float(guidance_scale),
        "dtype": str(denoiser.dtype).removeprefix("torch."),
        "versions": {
            "daam_syntax": __version__,
            **_library_versions(),
        },
        **({"intervention": INTERVENTIONS[denoiser]} if denoiser in INTERVENTIONS else {}),
    }


@cache  # reading them takes milliseconds, and a small model draws often
def _library_versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "diffusers", "transformers")}


def fresh_seed(generator: torch.Generator | None) -> int | None:
    """Return the seed that a generator was started from, or None if it has been drawn from since.

    Only from a fresh generator does its seed tell how to draw the image again.
    """
    if generator is None:
        return None
    seed = generator.initial_seed()
    anew = torch.Generator(generator.device).manual_seed(seed)
    return seed if torch.equal(anew.get_state(), generator.get_state()) else None
