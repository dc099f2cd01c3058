"""Attention logits in full float32 precision, whatever precision the user allows for matrix products.

`torch.set_float32_matmul_precision` and its relatives let float32 products round their inputs to 11 bits (TF32) or
8 bits (bfloat16). A model may be run like that, but its attention maps would be off by up to 1e-3. Where such a
setting is on, each input is therefore split into three parts of 8 bits, which no setting rounds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SIGNIFICANT_PAIRS = ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0), (1, 1))  # the others are below 2**-24


class Keys:
    """The keys of attention calls in float32, converted once for the products with any number of queries.

    Parameters
    ----------
    key
        *Shape:* ``(row, head, key, feature)``
    query_dtype
        Number format of the queries.
    """

    def __init__(self, key: Tensor, query_dtype: torch.dtype) -> None:
        self._n_rows, self._n_heads = key.shape[:2]
        self._is_split = product_bits(key.device) < max(_bits(key.dtype), _bits(query_dtype))
        self._keys = self._operand(key, [first for first, _ in _SIGNIFICANT_PAIRS])

    def logits(self, query: Tensor, scale: float) -> Tensor:
        """Return the scaled products with queries, accumulated and scaled in float32.

        Parameters
        ----------
        query
            *Shape:* ``(row, head, query, feature)``
        scale
            Factor on the products. It is applied after them, since a scaled 16-bit key would not be a 16-bit number.

        Returns
        -------
        Tensor
            *Shape:* ``(row, head, key, query)``. A token is contiguous in memory, which is fast to select and to
            average.
        """
        queries = self._operand(query, [second for _, second in _SIGNIFICANT_PAIRS])
        products = torch.baddbmm(
            queries.new_zeros(()), self._keys, queries.transpose(-1, -2), beta=0, alpha=scale
        )
        return products.unflatten(0, (self._n_rows, self._n_heads))

    def _operand(self, values: Tensor, chosen: list[int]) -> Tensor:
        """Return values in float32, or some of their parts side by side, *shape* ``(row * head, ..., feature)``."""
        values = values.float()
        if self._is_split:
            parts = _parts(values)
            values = torch.cat([parts[number] for number in chosen], dim=-1)
        return values.flatten(0, 1)


def product_bits(device: torch.device) -> int:
    """Return how many significant bits of float32 inputs the products of a device keep: 24, 11 or 8.

    Both generations of settings are read: `torch.set_float32_matmul_precision` or ``allow_tf32``, and
    ``fp32_precision``. A setting that cannot be read counts as the lowest precision.
    """
    kind = device.type
    backend: Any = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}.get(kind)
    if backend is None:
        return 24  # no other device type rounds float32 products
    settings = [torch.backends, backend, getattr(backend, "matmul", None)]
    found = [getattr(each, "fp32_precision", "none") for each in settings]
    stated = next((value for value in reversed(found) if value != "none"), None)
    if stated is None:
        stated = {"highest": "ieee", "high": "tf32", "medium": "bf16"}.get(
            _legacy_precision(), "bf16"
        )
    if kind == "cuda" and stated == "bf16":
        stated = "tf32"
    return {"ieee": 24, "tf32": 11}.get(stated, 8)


def _legacy_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # torch refuses to say after its old and new settings were mixed
        return "unknown"


def _bits(dtype: torch.dtype) -> int:
    return {torch.bfloat16: 8, torch.float16: 11}.get(dtype, 24)


def _parts(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split float32 numbers into three that have 8 significant bits each and add up to them."""
    first = values.bfloat16().float()
    second = (values - first).bfloat16().float()
    return first, second, (values - first - second).bfloat16().float()
