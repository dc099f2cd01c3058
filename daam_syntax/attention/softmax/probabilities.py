"""Exact attention probabilities from pixels to text tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from daam_syntax.attention.softmax.logits import Keys
from daam_syntax.attention.softmax.transfers import indices
from daam_syntax.errors import TraceError

_LOGITS_AT_ONCE = 2**22  # 16 MB of float32: few kernel launches, little memory compared to a model
_LOGITS_AT_ONCE_ON_CPU = 2**18  # 1 MB: fits in the processor's cache
_QUERIES_AT_ONCE = 32  # minimum for fast matrix products


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """One call of `scaled_dot_product_attention`: its arguments, and its values and output where they are needed.

    Attributes
    ----------
    query
        *Shape:* ``(row, head, query, feature)``
    key
        *Shape:* ``(row, key head, key, feature)``
    mask
        True for keys that may be attended to, or numbers added to the logits; None without a mask. *Shape:*
        broadcastable to ``(row, head, query, key)``
    scale
        Factor on the logits; None for one over the square root of the number of features.
    is_causal
        Whether a query attends only to keys up to its own position.
    enable_gqa
        Whether several query heads share a key head.
    logsumexp
        The log-sum-exp of the logits over all keys; None if unknown. *Shape:* ``(row, head, query)``
    value
        *Shape:* ``(row, key head, key, feature)``; None where values are not kept.
    output
        *Shape:* ``(row, head, query, feature)``; None where outputs are not kept.
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None = None
    scale: float | None = None
    is_causal: bool = False
    enable_gqa: bool = False
    logsumexp: Tensor | None = None
    value: Tensor | None = None
    output: Tensor | None = None

    @classmethod
    def from_arguments(
        cls, args: Sequence[Any], kwargs: Mapping[str, Any], logsumexp: Tensor | None = None
    ) -> AttentionCall:
        """Read the arguments of a call of `scaled_dot_product_attention`."""
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        return cls(
            query=given["query"].detach(),
            key=given["key"].detach(),
            mask=given.get("attn_mask"),
            scale=given.get("scale"),
            is_causal=given.get("is_causal", False),
            enable_gqa=given.get("enable_gqa", False),
            logsumexp=None if logsumexp is None else logsumexp.detach(),
        )

    def with_explicit_mask(self) -> AttentionCall:
        """Return the same call with its causality as a mask, counted from the first query and key as torch does."""
        if not self.is_causal:
            return self
        allowed = torch.ones(
            self.query.shape[-2], self.key.shape[-2], dtype=torch.bool, device=self.query.device
        ).tril()
        return replace(self, mask=allowed, is_causal=False)


@torch.no_grad()
def text_probabilities(
    call: AttentionCall,
    *,
    rows: slice = slice(None),
    queries: slice = slice(None),
    keys: slice = slice(None),
    tokens: slice | list[int] = slice(None),
    by_head: bool = False,
) -> Tensor:
    """Recompute the softmax of an attention call for its text keys, per attention head or averaged over heads.

    The softmax is ``exp(z - logsumexp(z))`` with logits ``z = scale * query @ key.T + mask``. It is normalized over all
    keys of the call, including those that are not text, and computed in float32 for any type of model. If the
    log-sum-exp of the call is known, only the requested columns are computed. A query whose keys are all masked gets
    zeros.

    Parameters
    ----------
    call
        The call.
    rows
        The rows of the batch to return.
    queries
        The queries that are pixels.
    keys
        The keys that are text: all, or a slice with explicit bounds.
    tokens
        The text keys to return.
    by_head
        Whether to keep the attention heads.

    Returns
    -------
    Tensor
        Probabilities in [0, 1]. *Shape:* ``(row, query, token)``, or ``(row, head, query, token)`` with `by_head`

    Raises
    ------
    TraceError
        If the call is causal, or its tensors lack the axis of attention heads.
    """
    if call.is_causal:
        raise TraceError(
            "Expected attention of every pixel to every word, but this model masks it causally "
            "(is_causal=True), which is not supported."
        )
    if call.query.ndim != 4:
        raise TraceError(
            "Expected queries of shape (row, head, query, feature), but got "
            f"{tuple(call.query.shape)}: this attention cannot be read."
        )
    query, key = call.query[rows, :, queries], keys_of_heads(call)[rows]
    chosen = tokens if isinstance(tokens, slice) else indices(tokens, query.device)
    mask = whole_mask(call)
    if mask is not None:
        mask = mask[rows, :, queries]
    known = None
    if call.logsumexp is not None and not _is_everything(keys, key.shape[-2]):
        known = call.logsumexp[rows, :, queries]
        key = key[:, :, keys][:, :, chosen]
        mask = None if mask is None else mask[..., keys][..., chosen]
        keys = chosen = slice(None)
    scale = scale_of(call)

    def shares(row: slice, row_keys: Keys, part: slice) -> Tensor:
        logits = row_keys.logits(query[row, :, part], scale)
        if mask is not None:
            logits = _masked(logits, mask[row, :, part].transpose(-1, -2))
            sees_nothing = logits.amax(-2, keepdim=True) == -torch.inf
        share = _softmax_rows(logits, keys, None if known is None else known[row, :, None, part])
        if mask is not None:
            share.masked_fill_(sees_nothing, 0.0)
        return share[:, :, chosen] if by_head else share[:, :, chosen].mean(dim=1)

    row_parts, query_parts = _parts(query, key.shape[-2])
    with torch.autocast(query.device.type, enabled=False):
        by_row = []
        for row in row_parts:
            row_keys = Keys(key[row], query.dtype)
            by_row.append(torch.cat([shares(row, row_keys, q) for q in query_parts], dim=-1))
    return torch.cat(by_row).transpose(-1, -2)


@torch.no_grad()
def reference_logsumexp(call: AttentionCall, queries: slice) -> Tensor:
    """Return the log-sum-exp of the logits over all keys, for some queries of the first row.

    Parameters
    ----------
    call
        The call.
    queries
        The queries.

    Returns
    -------
    Tensor
        Negative infinity for queries whose keys are all masked. *Shape:* ``(1, head, query)``
    """
    query, key = call.query[:1, :, queries], keys_of_heads(call)[:1]
    with torch.autocast(query.device.type, enabled=False):
        logits = Keys(key, query.dtype).logits(query, scale_of(call))
    mask = whole_mask(call)
    if mask is not None:
        logits = _masked(logits, mask[:1, :, queries].transpose(-1, -2))
    return logits.logsumexp(dim=-2)


def keys_of_heads(call: AttentionCall) -> Tensor:
    """Return the keys of each query head, *shape* ``(row, head, key, feature)``."""
    if not call.enable_gqa:
        return call.key
    return call.key.repeat_interleave(call.query.shape[1] // call.key.shape[1], dim=1)


def scale_of(call: AttentionCall) -> float:
    """Return the factor on the logits."""
    return 1 / math.sqrt(call.query.shape[-1]) if call.scale is None else call.scale


def _parts(query: Tensor, n_keys: int) -> tuple[list[slice], list[slice]]:
    """Split the rows, or the queries of each row, to limit the number of logits per part."""
    n_rows, n_heads, n_queries, _ = query.shape
    logits = _LOGITS_AT_ONCE_ON_CPU if query.device.type == "cpu" else _LOGITS_AT_ONCE
    queries = max(_QUERIES_AT_ONCE, logits // max(1, n_heads * n_keys))
    return _slices(n_rows, max(1, queries // max(1, n_queries))), _slices(n_queries, queries)


def _slices(n: int, at_once: int) -> list[slice]:
    return [slice(first, first + at_once) for first in range(0, max(1, n), at_once)]


def _softmax_rows(logits: Tensor, rows: slice, logsumexp: Tensor | None) -> Tensor:
    """Return rows of the softmax over the second to last axis; may overwrite the logits."""
    if logsumexp is not None:
        return logits.sub_(logsumexp).exp_()
    if _is_everything(rows, logits.shape[-2]):
        # Only CPU kernels are known to allow the input as output.
        return torch.softmax(logits, dim=-2, out=logits if logits.device.type == "cpu" else None)
    return logits[:, :, rows].sub(logits.logsumexp(dim=-2, keepdim=True)).exp_()


def _is_everything(keys: slice, n: int) -> bool:
    return keys in (slice(None), slice(0, n))


def whole_mask(call: AttentionCall) -> Tensor | None:
    """Return a view of the mask, *shape* ``(row, head or 1, query, key)``."""
    if call.mask is None:
        return None
    mask = call.mask[(None,) * (4 - call.mask.ndim)]
    return mask.expand(call.query.shape[0], -1, call.query.shape[2], call.key.shape[2])


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return logits.masked_fill(~mask, -torch.inf)
    return logits + mask.float()
