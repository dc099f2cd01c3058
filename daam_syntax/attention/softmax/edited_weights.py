"""Materialize attention weights and change them before they are multiplied by the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.softmax.transfers import indices
from daam_syntax.errors import TraceError

_WEIGHTS_AT_ONCE = 2**24  # 64 MB of float32


def scaled_columns(
    weights: Tensor,
    columns: Sequence[int],
    scale: float,
    *,
    paid_by: Sequence[int] | None = None,
    renormalize: bool = True,
) -> Tensor:
    """Scale columns of attention weights, or remove the same mass from other columns instead.

    Let ``p`` be the weights, and ``m = (1 - scale) * sum(p[columns])`` the mass that scaling removes.

    - If `paid_by` is None, ``p[columns]`` becomes ``scale * p[columns]``.
    - Otherwise ``p[columns]`` is unchanged, and ``p[paid_by]`` becomes ``p[paid_by] * max(0, 1 - m / q)`` with ``q =
      sum(p[paid_by])``: the mass removed is limited to what these columns have.

    With `renormalize`, the weights of a query are then divided by their new sum; if that is 0, they stay 0.

    Parameters
    ----------
    weights
        Attention weights, which are not changed. *Shape:* ``(..., query, key)``
    columns
        The keys whose weights are scaled.
    scale
        The factor, 0 or more; 0 deletes.
    paid_by
        The other keys.
    renormalize
        Whether the weights sum to 1 again.

    Returns
    -------
    Tensor
        The changed weights. *Shape:* ``(..., query, key)``
    """
    edited = weights.clone()
    scaled = indices(columns, weights.device)
    if paid_by is None:
        edited[..., scaled] *= scale
    else:
        others = indices(paid_by, weights.device)
        mass = (1 - scale) * weights[..., scaled].sum(-1, keepdim=True)
        having = weights[..., others].sum(-1, keepdim=True)
        left = torch.where(having > 0, 1 - mass / having, torch.ones_like(having))
        edited[..., others] *= left.clamp(min=0)
    return normalized(edited) if renormalize else edited


def normalized(weights: Tensor) -> Tensor:
    """Divide the weights of each query by their sum, *shape* ``(..., query, key)``; if it is 0, they stay 0."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total, torch.zeros_like(weights))


@torch.no_grad()
def attention_weights(call: AttentionCall, row: int, queries: slice = slice(None)) -> Tensor:
    """Return the softmax of one row of a call over all keys, in float32.

    Returns
    -------
    Tensor
        Attention weights. *Shape:* ``(head, query, key)``

    Raises
    ------
    TraceError
        If the call cannot be read, see `text_probabilities`.
    """
    return text_probabilities(call, rows=slice(row, row + 1), queries=queries, by_head=True)[0]


@torch.no_grad()
def replace_weights(
    call: AttentionCall,
    value: Tensor,
    output: Tensor,
    row: int,
    queries: slice,
    change: Callable[[Tensor, slice], Tensor],
) -> None:
    """Recompute one row of an attention call's output with changed weights.

    Parameters
    ----------
    call
        The call.
    value
        Its values. *Shape:* ``(row, key head, key, feature)``
    output
        Its output, which is changed in place. *Shape:* ``(row, head, query, feature)``
    row
        The row.
    queries
        The queries whose weights are changed.
    change
        Returns the changed weights, given the weights of some of the queries, *shape* ``(head, query, key)``, and the
        slice of these queries.

    Raises
    ------
    TraceError
        If the call cannot be read, see `text_probabilities`.
    """
    values = value[row].float()
    if values.shape[0] != call.query.shape[1]:
        values = values.repeat_interleave(call.query.shape[1] // values.shape[0], dim=0)
    for part in _parts(call, queries):
        weights = change(attention_weights(call, row, part), part)
        with torch.autocast(output.device.type, enabled=False):
            output[row, :, part] = (weights @ values).to(output.dtype)


def _parts(call: AttentionCall, queries: slice) -> Iterator[slice]:
    if call.query.ndim != 4:
        raise TraceError(
            "Expected queries of shape (row, head, query, feature), but got "
            f"{tuple(call.query.shape)}: this attention cannot be changed."
        )
    step = max(1, _WEIGHTS_AT_ONCE // (call.query.shape[1] * call.key.shape[-2]))
    start, stop, _ = queries.indices(call.query.shape[2])
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))
