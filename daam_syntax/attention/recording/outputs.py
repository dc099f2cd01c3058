"""Recording the similarity of attention outputs: pixels against the tokens of the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.softmax.output_products import (
    output_similarity,
    projected_similarity,
)
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError


def similarity_to_text(
    path: str,
    module: nn.Module,
    call: AttentionCall,
    layouts: Sequence[TokenLayout],
    rows: slice,
    positions: Sequence[int],
    *,
    by_head: bool,
) -> Tensor:
    """Return how similar the output of each pixel is to that of each token of the prompt.

    Parameters
    ----------
    path, module
        The text attention.
    call
        Its call, with values and outputs.
    layouts
        For each image, which queries are pixels and which keys are text.
    rows
        The rows of the batch, one per image.
    positions
        Positions among the text keys.
    by_head
        Whether to return each attention head.

    Returns
    -------
    Tensor
        *Shape:* ``(row, pixel, position)``, or ``(row, head, pixel, position)``; 0 for masked tokens that the call
        leaves out
    """
    assert call.output is not None
    assert call.value is not None
    parts = []
    has_queries = has_text_queries(layouts[0])
    project = None if has_queries else output_projection(path, module)
    for row, layout in zip(range(rows.start, rows.stop), layouts, strict=True):
        n_text = layout.text.stop - layout.text.start
        seen = [place for place, position in enumerate(positions) if position < n_text]
        tokens = [layout.text.start + positions[place] for place in seen]
        source = call.output if has_queries else heads_of(call.value, call)
        part = similarity(
            call.output[row : row + 1, :, layout.pixels],
            source[row : row + 1, :, tokens],
            project,
            by_head=by_head,
        )
        whole = part.new_zeros(*part.shape[:-1], len(positions))
        whole[..., seen] = part
        parts.append(whole)
    return torch.cat(parts)


def has_text_queries(layout: TokenLayout) -> bool:
    """Return whether text is among the queries: then pixels and text are different places of one sequence."""
    return layout.text.start >= layout.pixels.stop or layout.text.stop <= layout.pixels.start


def similarity(
    pixels: Tensor,
    tokens: Tensor,
    project: Callable[[Tensor], Tensor] | None,
    *,
    by_head: bool,
) -> Tensor:
    """Return dot products of outputs, after a projection if there is one; see `output_similarity`."""
    if project is None:
        return output_similarity(pixels, tokens, by_head=by_head)
    return projected_similarity(pixels, tokens, project, by_head=by_head)


def heads_of(value: Tensor, call: AttentionCall) -> Tensor:
    """Return the values of each query head, *shape* ``(row, head, key, feature)``."""
    return value.repeat_interleave(call.query.shape[1] // value.shape[1], dim=1)


def output_projection(path: str, module: Any) -> Callable[[Tensor], Tensor]:
    """Return the output projection of a cross-attention.

    Raises
    ------
    TraceError
        If the module has none of the usual name.
    """
    out = getattr(module, "to_out", None)
    if isinstance(out, nn.ModuleList | nn.Sequential) and len(out):
        out = out[0]
    if not isinstance(out, nn.Module):
        raise TraceError(
            f"Expected {path} to have an output projection (to_out), to compare outputs (outputs=True), but "
            f"{type(module).__name__} has none of this name: trace without outputs=True."
        )
    return out
