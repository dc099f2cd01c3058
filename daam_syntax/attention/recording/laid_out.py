"""Attention from pixels to text in a call whose layout is known, for all rows or row by row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.softmax.transfers import indices


def layouts_of_rows(layout: TokenLayout | list[TokenLayout], rows: slice) -> Sequence[TokenLayout]:
    """Return the layout of each of some rows."""
    if isinstance(layout, list):
        return layout[rows]
    return [layout] * (rows.stop - rows.start)


def is_joint(call: AttentionCall, layout: TokenLayout | list[TokenLayout]) -> bool:
    """Return whether some keys are not text, so the log-sum-exp over all keys is needed."""
    if isinstance(layout, list):
        return True
    return layout.text.stop - layout.text.start < call.key.shape[-2]


def prompt_probabilities(
    call: AttentionCall,
    layout: TokenLayout | list[TokenLayout],
    rows: slice,
    positions: list[int],
    *,
    by_head: bool = False,
) -> torch.Tensor:
    """Return the probability with which each pixel attends to each text key of `positions`.

    Parameters
    ----------
    call
        The attention call.
    layout
        Which queries are pixels and which keys are text, for all rows or one layout per row.
    rows
        The rows of the batch to return.
    positions
        Positions among the text keys.
    by_head
        Whether to return each attention head instead of their mean.

    Returns
    -------
    Tensor
        *Shape:* ``(row, pixel, position)``, or ``(row, head, pixel, position)``
    """
    if isinstance(layout, TokenLayout):
        return text_probabilities(
            call,
            rows=rows,
            queries=layout.pixels,
            keys=layout.text,
            tokens=positions,
            by_head=by_head,
        )
    parts = []
    for row in range(rows.start, rows.stop):
        pixels, text = layout[row].pixels, layout[row].text
        seen = [place for place, position in enumerate(positions) if position < text.stop]
        part = text_probabilities(
            call,
            rows=slice(row, row + 1),
            queries=pixels,
            keys=text,
            tokens=[positions[place] for place in seen],
            by_head=by_head,
        )
        whole = part.new_zeros(*part.shape[:-1], len(positions))  # masked keys get no attention
        whole[..., indices(seen, part.device)] = part
        parts.append(whole)
    return torch.cat(parts)
