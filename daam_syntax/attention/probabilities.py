"""The share of its attention that each pixel gives to each text token, exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from daam_syntax.errors import TraceError

_LOGITS_AT_ONCE = 2**22  # 16 MB of float32: large enough for fast products, small beside a model


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """What a model handed to `scaled_dot_product_attention`, without the values.

    Attributes
    ----------
    query
        *Shape:* (row, head, query, feature)
    key
        *Shape:* (row, key head, key, feature)
    mask
        Broadcastable to (row, head, query, key): True where a key may be attended to, or a number
        that is added to the logits. None where nothing is masked.
    scale
        Factor on the logits; None for one over the square root of the number of features.
    is_causal
        Whether a query sees only the keys up to its own position.
    enable_gqa
        Whether several query heads share a key head.
    logsumexp
        The log-sum-exp of the logits over all keys, where it is known. *Shape:* (row, head, query)
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None = None
    scale: float | None = None
    is_causal: bool = False
    enable_gqa: bool = False
    logsumexp: Tensor | None = None

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
    """Recompute the text columns of a call's softmax, averaged over the heads or head by head.

    The softmax ``exp(z - logsumexp(z))`` of the logits ``z = scale * query @ key.T + mask`` runs
    over all keys of the call, in float32 whatever the model's type, also where only some keys are
    text; then only the wanted columns are computed where the call's log-sum-exp is known. A query
    that may attend to nothing gets zeros.

    Parameters
    ----------
    call
        The call.
    rows
        The rows of the batch that are wanted.
    queries
        Which queries stand for pixels.
    keys
        Which keys stand for text, a slice with explicit bounds or all.
    tokens
        Which of the text keys are wanted.
    by_head
        Whether the heads are kept apart.

    Returns
    -------
    Tensor
        Probabilities in [0, 1]. *Shape:* (row, query, token), or (row, head, query, token)

    Raises
    ------
    TraceError
        If the call is causal, or its tensors have no axis for the heads.
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
    query = call.query[rows, :, queries]
    key = call.key[rows]
    if call.enable_gqa:
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scale = 1 / math.sqrt(query.shape[-1]) if call.scale is None else call.scale
    key = (key.float() * scale).transpose(-1, -2)
    mask = _whole_mask(call)
    if mask is not None:
        mask = mask[rows, :, queries]
    known = None
    if call.logsumexp is not None and not _is_everything(keys, key.shape[-1]):
        known = call.logsumexp[rows, :, queries, None]
        key = key[..., keys][..., tokens]
        mask = None if mask is None else mask[..., keys][..., tokens]
        keys = tokens = slice(None)

    per_query = query.shape[0] * query.shape[1] * key.shape[-1]
    chunk = max(1, _LOGITS_AT_ONCE // max(1, per_query))
    parts = []
    for start in range(0, query.shape[2], chunk):
        part = slice(start, start + chunk)
        with torch.autocast(query.device.type, enabled=False):
            logits = query[:, :, part].float() @ key
        if mask is not None:
            logits = _masked(logits, mask[:, :, part])
        share = _softmax_columns(logits, keys, None if known is None else known[:, :, part])
        if mask is not None:
            sees_nothing = logits.amax(-1, keepdim=True) == -torch.inf
            share = share.masked_fill(sees_nothing, 0.0)
        parts.append(share[..., tokens] if by_head else share[..., tokens].mean(dim=1))
    return torch.cat(parts, dim=-2)


def _softmax_columns(logits: Tensor, columns: slice, logsumexp: Tensor | None) -> Tensor:
    if logsumexp is not None:
        return (logits - logsumexp).exp()
    if _is_everything(columns, logits.shape[-1]):
        return logits.softmax(dim=-1)
    return (logits[..., columns] - logits.logsumexp(dim=-1, keepdim=True)).exp()


def _is_everything(columns: slice, n: int) -> bool:
    return columns in (slice(None), slice(0, n))


def _whole_mask(call: AttentionCall) -> Tensor | None:
    """Return a view of the mask with all rows and queries, (row, head or 1, query, key)."""
    if call.mask is None:
        return None
    mask = call.mask[(None,) * (4 - call.mask.ndim)]
    return mask.expand(call.query.shape[0], -1, call.query.shape[2], call.key.shape[2])


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return logits.masked_fill(~mask, -torch.inf)
    return logits + mask.float()
