"""Dot products of attention outputs: how similar a pixel's output is to that of a token (Helbling et al. 2025)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daam_syntax.attention.softmax.logits import Keys


@torch.no_grad()
def output_similarity(pixels: Tensor, tokens: Tensor, *, by_head: bool = False) -> Tensor:
    """Return the dot products of the outputs of pixels and tokens, in float32 for any type of model.

    Parameters
    ----------
    pixels
        *Shape:* ``(row, head, pixel, feature)``
    tokens
        *Shape:* ``(row, head, token, feature)``
    by_head
        Whether to return the part of each head, times the number of heads, so that their mean is the whole.

    Returns
    -------
    Tensor
        Any sign. *Shape:* ``(row, pixel, token)``, or ``(row, head, pixel, token)``
    """
    n_heads = pixels.shape[1]
    if not by_head:
        pixels, tokens = (each.transpose(1, 2).flatten(2)[:, None] for each in (pixels, tokens))
    with torch.autocast(pixels.device.type, enabled=False):
        products = Keys(tokens, pixels.dtype).logits(pixels, n_heads if by_head else 1.0)
    products = products.transpose(-1, -2)
    return products if by_head else products[:, 0]


@torch.no_grad()
def projected_similarity(
    pixels: Tensor, tokens: Tensor, project: Callable[[Tensor], Tensor], *, by_head: bool = False
) -> Tensor:
    """Return the dot products of outputs after the output projection, which mixes the attention heads.

    Parameters
    ----------
    pixels, tokens, by_head
        As for `output_similarity`. The part of a head is that of the pixels' head with all heads of the token.
    project
        The output projection of heads side by side, *shape* ``(row, token, head * feature)``, perhaps with a bias,
        which is subtracted.

    Returns
    -------
    Tensor
        Any sign. *Shape:* ``(row, pixel, token)``, or ``(row, head, pixel, token)``
    """
    n_heads = pixels.shape[1]

    def projected(values: Tensor) -> Tensor:
        joined = values.transpose(1, 2).flatten(2)
        return (project(joined) - project(torch.zeros_like(joined[:1, :1])))[:, None]

    whole = projected(tokens)
    if not by_head:
        return output_similarity(projected(pixels), whole)
    parts = []
    for head in range(n_heads):
        alone = torch.zeros_like(pixels)
        alone[:, head] = pixels[:, head]
        parts.append(n_heads * output_similarity(projected(alone), whole))
    return torch.stack(parts, dim=1)
