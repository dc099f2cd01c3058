"""Positions of pixels and text among the queries and keys of an attention call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokenLayout:
    """Which queries are pixels and which keys are text.

    Attributes
    ----------
    pixels
        The queries that are pixels of the image that is drawn.
    text
        The keys that are text. If there are fewer than embedded text tokens, the rest is masked.
    references
        The queries that are pixels of reference images, in the order of the images.
    """

    pixels: slice
    text: slice
    references: tuple[slice, ...] = ()


@dataclass(frozen=True)
class CallSizes:
    """The sizes of an attention call.

    Attributes
    ----------
    queries, keys
        Number of queries and keys.
    text
        Number of text tokens that the pipeline embedded, including padding.
    """

    queries: int
    keys: int
    text: int


@dataclass(frozen=True)
class TextRefiner:
    """Blocks of a denoiser in which the text attends to itself alone, before it meets the pixels.

    Attributes
    ----------
    is_attention
        Returns whether a module is the attention of such a block, given its path.
    lengths
        Returns how many of the queries of each row are text, from the first one, given the number of rows, the number
        of text tokens that the pipeline embedded, and the denoiser's inputs by name.
    """

    is_attention: Callable[[str], bool]
    lengths: Callable[[int, int, Mapping[str, Any]], Sequence[int]] = (
        lambda n_rows, n_text, inputs: [n_text] * n_rows
    )


Layout = Callable[[CallSizes, Mapping[str, Any]], TokenLayout | list[TokenLayout] | None]
"""A function that returns the `TokenLayout` of an attention call, given its sizes and the denoiser's inputs by name.

If rows differ, it returns a list with one layout per row; if the call is not between pixels and this text, None.
"""


def cross(sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
    """Return the layout of cross-attention: queries are pixels; keys are text, or text and then pixels."""
    if sizes.keys not in (sizes.text, sizes.text + sizes.queries):
        return None
    return TokenLayout(slice(0, sizes.queries), slice(0, sizes.text))


def text_first(
    sizes: CallSizes, inputs: Mapping[str, Any], registers: int = 0
) -> TokenLayout | None:
    """Return the layout of joint attention: registers if any, then text, then pixels."""
    end = registers + sizes.text
    if sizes.queries != sizes.keys or sizes.keys <= end:
        return None
    return TokenLayout(slice(end, sizes.keys), slice(registers, end))


def image_first(sizes: CallSizes, inputs: Mapping[str, Any]) -> TokenLayout | None:
    """Return the layout of joint attention: pixels, then text."""
    if sizes.queries != sizes.keys or sizes.keys <= sizes.text:
        return None
    pixels = sizes.keys - sizes.text
    return TokenLayout(slice(0, pixels), slice(pixels, sizes.keys))
