"""Where the pixels and the text stand among the queries and keys of an attention call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokenLayout:
    """Which queries are pixels and which keys are text.

    Attributes
    ----------
    pixels
        The pixels among the queries.
    text
        The text among the keys. Where it is shorter than the embedded text, the rest is masked.
    """

    pixels: slice
    text: slice


@dataclass(frozen=True)
class CallSizes:
    """The sizes of an attention call.

    Attributes
    ----------
    queries, keys
        How many queries and keys it has.
    text
        Length of the text as the pipeline embedded it, padding included.
    """

    queries: int
    keys: int
    text: int


Layout = Callable[[CallSizes, Mapping[str, Any]], TokenLayout | list[TokenLayout] | None]
"""A function of a call's sizes and the denoiser's inputs by name.

It returns the call's `TokenLayout`, or a list with one for each row where rows differ, or None if the call
is not between pixels and this text.
"""


def cross(sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
    """Describe cross-attention: queries are pixels; keys are the text, or the text and the pixels."""
    if sizes.keys not in (sizes.text, sizes.text + sizes.queries):
        return None
    return TokenLayout(slice(0, sizes.queries), slice(0, sizes.text))


def text_first(
    sizes: CallSizes, inputs: Mapping[str, Any], registers: int = 0
) -> TokenLayout | None:
    """Describe joint attention: first any registers, then the text, then the pixels."""
    end = registers + sizes.text
    if sizes.queries != sizes.keys or sizes.keys <= end:
        return None
    return TokenLayout(slice(end, sizes.keys), slice(registers, end))


def image_first(sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
    """Describe joint attention: first the pixels, then the text."""
    if sizes.queries != sizes.keys or sizes.keys <= sizes.text:
        return None
    pixels = sizes.keys - sizes.text
    return TokenLayout(slice(0, pixels), slice(pixels, sizes.keys))
