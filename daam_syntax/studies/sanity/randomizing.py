"""Randomize the text attention of a model, after Adebayo et al. (2018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from daam_syntax.attention.families import family_of
from daam_syntax.errors import StudyError
from daam_syntax.pipelines.shuffled_weights import shuffled


@contextmanager
def randomized(pipe: Any, seed: int) -> Iterator[None]:
    """Shuffle the entries of each query and key projection of the text attention, and restore them afterwards.

    Raises
    ------
    StudyError
        If the text attention has no such projections.
    """
    family = family_of(pipe)
    denoiser = family.denoiser_of(pipe)
    weights = [
        parameter
        for path, module in denoiser.named_modules()
        if family.is_text_attention(path, module)
        for name, parameter in module.named_parameters()
        if name.split(".")[0] in ("to_q", "to_k", "add_q_proj", "add_k_proj")
    ]
    if not weights:
        raise StudyError(
            f"Expected text attention with projections to_q and to_k, but that of {type(denoiser).__name__} has none: "
            "it cannot be randomized; choose another model."
        )
    with shuffled(weights, seed):
        yield
