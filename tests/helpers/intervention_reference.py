"""An independent intervention on attention: an explicit softmax replaces the fused function."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Change = Callable[["Place", Tensor, Tensor], Tensor]
"""A function of a place, weights, *shape* ``(row, head, query, key)``, and values, which returns the output."""


class Place:
    """Where and when an attention call is made: the module's path and the number of the denoiser call."""

    def __init__(self, path: str, call: int) -> None:
        self.path, self.call = path, call


class ByHand:
    """Replaces the attention of some modules of a denoiser during a pipeline call."""

    def __init__(self, denoiser: nn.Module, modules: str, change: Change) -> None:
        self._denoiser, self._change = denoiser, change
        self._modules = {p: m for p, m in denoiser.named_modules() if re.fullmatch(modules, p)}
        self._path: str | None = None
        self._call = -1

    def draw(self, draw: Callable[[], Any]) -> Any:
        handles = [self._denoiser.register_forward_pre_hook(self._count)]
        for path, module in self._modules.items():
            handles.append(module.register_forward_pre_hook(self._set(path)))
            handles.append(module.register_forward_hook(self._set(None)))
        original = functional.scaled_dot_product_attention

        def replaced(query, key, value, attn_mask=None, *args, **options):
            if self._path is None:
                return original(query, key, value, attn_mask, *args, **options)
            assert attn_mask is None or attn_mask.dtype != torch.bool
            logits = query.double() @ key.double().transpose(2, 3) / query.shape[-1] ** 0.5
            weights = torch.exp(logits if attn_mask is None else logits + attn_mask)
            weights = weights / weights.sum(-1, keepdim=True)
            place = Place(self._path, self._call)
            return self._change(place, weights, value.double()).to(query.dtype)

        functional.scaled_dot_product_attention = replaced
        try:
            return draw()
        finally:
            functional.scaled_dot_product_attention = original
            for handle in handles:
                handle.remove()

    def _count(self, module: nn.Module, args: Any) -> None:
        self._call += 1

    def _set(self, path: str | None) -> Callable[..., None]:
        def hook(*args: Any) -> None:
            self._path = path

        return hook
