"""Attention weights written out, so that they can be changed before they meet the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError

_WEIGHTS_AT_ONCE = 2**24  # 64 MB of float32


def scaled_columns(
    weights: Tensor,
    columns: Sequence[int],
    scale: float,
    *,
    paid_by: Sequence[int] | None = None,
    renormalise: bool = True,
) -> Tensor:
    """Scale columns of attention weights, or take as much mass from other columns instead.

    With weights ``p`` and the mass ``m = (1 - scale) * sum(p[columns])`` that scaling takes away,

    - if `paid_by` is None, ``p[columns]`` becomes ``scale * p[columns]``;
    - otherwise ``p[columns]`` stays, and ``p[paid_by]`` becomes ``p[paid_by] * max(0, 1 - m / q)``, with ``q =
      sum(p[paid_by])``: as much mass is taken as they have, and nothing where they have none.

    Then, if `renormalise`, a query's weights are divided by their new sum; where that is 0 they stay 0.

    Parameters
    ----------
    weights
        Not changed. *Shape:* (..., query, key)
    columns
        The keys whose weights are scaled.
    scale
        The factor, 0 or more; 0 deletes.
    paid_by
        The other keys.
    renormalise
        Whether the weights shall sum to 1 again.

    Returns
    -------
    Tensor
        *Shape:* that of `weights`
    """
    edited = weights.clone()
    if paid_by is None:
        edited[..., list(columns)] *= scale
    else:
        others = list(paid_by)
        mass = (1 - scale) * weights[..., list(columns)].sum(-1, keepdim=True)
        having = weights[..., others].sum(-1, keepdim=True)
        left = torch.where(having > 0, 1 - mass / having, torch.ones_like(having))
        edited[..., others] *= left.clamp(min=0)
    return normalised(edited) if renormalise else edited


def normalised(weights: Tensor) -> Tensor:
    """Divide each query's weights by their sum, *shape* (..., query, key); where it is 0 they stay 0."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total, torch.zeros_like(weights))


@torch.no_grad()
def attention_weights(call: AttentionCall, row: int, queries: slice = slice(None)) -> Tensor:
    """Return the softmax of a call over all its keys, in float32.

    Returns
    -------
    Tensor
        *Shape:* (head, query, key)

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
    """Write the values times changed weights into a row of an attention call's output.

    Parameters
    ----------
    call
        The call.
    value
        Its values. *Shape:* (row, key head, key, feature)
    output
        Its output, which is changed in place. *Shape:* (row, head, query, feature)
    row
        The row.
    queries
        The queries whose weights are changed.
    change
        Given weights of some of them, *shape* (head, query, key), and which queries of the call they
        are, it returns other weights.

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
