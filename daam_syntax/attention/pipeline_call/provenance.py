"""Provenance of a recording: model, settings, seed, and library versions."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from daam_syntax.attention.families import Family
from daam_syntax.pipelines.identity import describe_pipeline

INTERVENTIONS: WeakKeyDictionary[nn.Module, dict[str, Any]] = WeakKeyDictionary()
"""Denoisers whose attention is currently being changed, with a JSON-compatible description of the change."""


def provenance_of(pipe: Any, family: Family) -> dict[str, Any]:
    """Describe a pipeline with its current settings; see `daam_syntax.pipelines.identity.describe_pipeline`.

    During an intervention, the key ``intervention`` describes it.
    """
    denoiser = family.denoiser_of(pipe)
    return {
        **describe_pipeline(pipe, denoiser, family.name),
        **({"intervention": INTERVENTIONS[denoiser]} if denoiser in INTERVENTIONS else {}),
    }


def reproducible_seed(generator: torch.Generator | None) -> int | None:
    """Return the seed of a generator, or None if random numbers were already drawn from it.

    A seed reproduces an image only if its generator was fresh.
    """
    if generator is None:
        return None
    seed = generator.initial_seed()
    anew = torch.Generator(generator.device).manual_seed(seed)
    return seed if torch.equal(anew.get_state(), generator.get_state()) else None
