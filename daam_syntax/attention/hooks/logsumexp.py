"""Run attention and keep the log-sum-exp that its kernel computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import _get_current_function_mode_stack

_NAMES = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


def attend(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Call `scaled_dot_product_attention`, and return the log-sum-exp of the logits if it costs nothing.

    In joint attention only some keys are text, but the softmax is over all keys. Its denominator is by far the most
    expensive part, and the flash kernel computes it. If torch would choose that kernel on a CPU, this function calls
    the kernel directly with the same arguments. Otherwise it calls the function unchanged.

    Parameters
    ----------
    args, kwargs
        As for `scaled_dot_product_attention`.

    Returns
    -------
    Tensor
        The output, bit-identical to that of the function.
    Tensor or None
        The log-sum-exp over all keys. *Shape:* ``(row, head, query)``
    """
    given = dict(zip(_NAMES, args, strict=False)) | dict(kwargs)
    if not _is_joint_on_cpu(given) or _chosen(given) != SDPBackend.FLASH_ATTENTION.value:
        return scaled_dot_product_attention(*args, **kwargs), None
    query, mask = given["query"], given.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)
    output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, given["key"], given["value"], attn_mask=mask, scale=given.get("scale")
    )
    return output, logsumexp


def _is_joint_on_cpu(given: Mapping[str, Any]) -> bool:
    query, key = given["query"], given["key"]
    return (
        query.device.type == "cpu"
        and query.ndim == 4
        and key.shape[-2] >= query.shape[-2] > 1
        and query.shape[1] == key.shape[1]
        and not given.get("dropout_p")
        and not given.get("is_causal")
        # Other modes, for instance of another trace, must observe the call of the function.
        and not _get_current_function_mode_stack()
        and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    )


def _chosen(given: Mapping[str, Any]) -> int:
    """Return the kernel that torch would choose."""
    mask, scale = given.get("attn_mask"), given.get("scale")
    return int(
        torch._fused_sdp_choice(
            given["query"], given["key"], given["value"], mask, 0.0, False, scale=scale
        )
    )
