"""Attention maps by the book, from a module's inputs and weights: what the tap is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def head_mean_softmax(module: nn.Module, hidden: Tensor, text: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(d)), averaged over heads, (row, pixel, text token)."""
    rows, pixels, _ = hidden.shape
    query = (hidden @ module.to_q.weight.T).double()
    key = (text @ module.to_k.weight.T).double()
    size = query.shape[-1] // module.heads
    total = torch.zeros(rows, pixels, text.shape[1], dtype=torch.float64)
    for head in range(module.heads):
        part = slice(head * size, (head + 1) * size)
        for row in range(rows):
            logits = query[row, :, part] @ key[row, :, part].T / size**0.5
            weights = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
            total[row] += weights / weights.sum(dim=1, keepdim=True)
    return total / module.heads


class Reference:
    """Watches the inputs of a UNet's cross-attentions while something is drawn without a trace."""

    def __init__(self, unet: nn.Module, grids: dict[int, tuple[int, int]]) -> None:
        self.grids = grids  # of each number of pixels
        self.layers: dict[str, list[Tensor]] = {}
        self.modules = {
            path: module for path, module in unet.named_modules() if path.endswith("attn2")
        }

    def watch(self, draw: Callable[[], Any]) -> Any:
        handles = [
            module.register_forward_pre_hook(self._hook(path), with_kwargs=True)
            for path, module in self.modules.items()
        ]
        try:
            return draw()
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            with torch.no_grad():
                text = kwargs["encoder_hidden_states"]
                self.layers.setdefault(path, []).append(head_mean_softmax(module, args[0], text))

        return hook

    def maps(self, rows: slice) -> NDArray[Any]:
        """Return mean maps of these batch rows, (row, text position, y, x)."""
        seen = [self.grids[calls[0].shape[1]] for calls in self.layers.values()]
        finest = max(seen)
        upscaled = []
        for calls in self.layers.values():
            mean = torch.stack(calls).mean(dim=0)[rows]
            grid = mean.transpose(1, 2).unflatten(-1, self.grids[mean.shape[1]])
            upscaled.append(
                functional.interpolate(grid, finest, mode="bicubic", align_corners=False).clamp(
                    min=0
                )
            )
        return np.asarray(torch.stack(upscaled).mean(dim=0))
