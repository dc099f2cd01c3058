"""Attention weights in 64 bits, for sequences as short as a text.

Sums over hundreds of keys lose digits in 32 bits, and products of 32-bit numbers may be rounded to fewer bits (see
`logits`). A text has so few tokens that neither has to be accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from daam_syntax.attention.softmax.probabilities import (
    AttentionCall,
    keys_of_heads,
    scale_of,
    whole_mask,
)

_WEIGHTS_AT_ONCE: Final = 2**23  # 64 MB


def in_64_bits(values: Tensor) -> Tensor:
    """Return numbers in 64 bits, in main memory if their device has no such numbers."""
    return (values.cpu() if values.device.type == "mps" else values).double()


@torch.no_grad()
def weights_of_row(call: AttentionCall, row: int) -> Iterator[Tensor]:
    """Yield the softmax of one row of an attention call over all keys, some heads at a time.

    A query whose keys are all masked gets zeros.

    Parameters
    ----------
    call
        The call, without `is_causal` (see `AttentionCall.with_explicit_mask`).
    row
        The row.

    Yields
    ------
    Tensor
        In 64 bits. *Shape:* ``(head, query, key)``
    """
    query, key = call.query[row], keys_of_heads(call)[row]
    mask = whole_mask(call)
    n_heads, n_queries, _ = query.shape
    step = max(1, _WEIGHTS_AT_ONCE // (n_queries * key.shape[1]))
    with torch.autocast(query.device.type, enabled=False):
        for first in range(0, n_heads, step):
            part = slice(first, first + step)
            logits = in_64_bits(query[part]) @ in_64_bits(key[part]).transpose(-1, -2)
            logits *= scale_of(call)
            if mask is not None:
                own = mask[row].expand(n_heads, -1, -1)[part].to(logits.device)
                if own.dtype == torch.bool:
                    logits.masked_fill_(~own, -torch.inf)
                else:
                    logits += own
            sees_nothing = logits.amax(-1, keepdim=True) == -torch.inf
            yield torch.softmax(logits, dim=-1).masked_fill_(sees_nothing, 0.0)
