"""Texts among the arguments of `encode_prompt`, and embedded texts among its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Texts = tuple[str, ...]


def text_arguments(arguments: Mapping[str, Any]) -> dict[str, Texts]:
    """Return the arguments that are texts."""
    return {name: texts for name in arguments if (texts := _texts(arguments[name])) is not None}


def _texts(argument: Any) -> Texts | None:
    """Return a copy of an argument as texts, since some pipelines change it; None if it is not text."""
    if isinstance(argument, str):
        return (argument,)
    if isinstance(argument, list | tuple) and argument:
        return tuple(argument) if all(isinstance(each, str) for each in argument) else None
    return None


def embeddings_in(result: Any) -> list[Any]:
    """Return the results of `encode_prompt` that may be embedded text."""
    return [
        each
        for each in (result if isinstance(result, tuple | list) else [result])
        if isinstance(each, Tensor) and each.ndim == 3
    ]


def is_text(result: Any) -> bool:
    """Return whether a result of `encode_prompt` is embedded text: one tensor, or a list with one per prompt."""
    if isinstance(result, list):
        return bool(result)
    return isinstance(result, Tensor) and result.ndim == 3 and result.is_floating_point()


def is_mask(result: Any, embedded: Tensor) -> bool:
    """Return whether a result of `encode_prompt` is the mask of embedded text."""
    return isinstance(result, Tensor) and result.shape == embedded.shape[:2]
