"""Independent attention maps, computed from the inputs and weights of modules, to compare recordings with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def close(found: Any, expected: Any) -> None:
    """Compare numbers of any scale, to a millionth of the largest."""
    scale = float(abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-6 * scale, rtol=2e-6)


def softmax_by_head(module: nn.Module, hidden: Tensor, text: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) of every attention head. *Shape:* ``(row, head, pixel, token)``."""
    rows, pixels, _ = hidden.shape
    query = (hidden @ module.to_q.weight.T).double()
    key = (text @ module.to_k.weight.T).double()
    size = query.shape[-1] // module.heads
    result = torch.zeros(rows, module.heads, pixels, text.shape[1], dtype=torch.float64)
    for head in range(module.heads):
        part = slice(head * size, (head + 1) * size)
        for row in range(rows):
            logits = query[row, :, part] @ key[row, :, part].T / size**0.5
            weights = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
            result[row, head] = weights / weights.sum(dim=1, keepdim=True)
    return result


class Reference:
    """Records the inputs of a UNet's cross-attentions during a pipeline call without a trace."""

    def __init__(
        self,
        unet: nn.Module,
        grids: dict[int, tuple[int, int]],
        text_of: Callable[[Any], Tensor] = lambda text: text,
    ) -> None:
        self.text_of = text_of  # from the input of a cross-attention to the text
        self.grids = grids  # grid by number of pixels
        self.by_head: dict[str, list[Tensor]] = {}  # one tensor (row, head, pixel, token) per step
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
                text = self.text_of(kwargs["encoder_hidden_states"])
                by_head = softmax_by_head(module, args[0], text)
                self.by_head.setdefault(path, []).append(by_head)

        return hook

    @property
    def layers(self) -> dict[str, list[Tensor]]:
        """Means over attention heads by layer, one tensor ``(row, pixel, token)`` per step."""
        return {path: [call.mean(dim=1) for call in calls] for path, calls in self.by_head.items()}

    def maps(self, rows: slice) -> NDArray[Any]:
        """Return the mean maps of some batch rows. *Shape:* ``(row, text position, y, x)``."""
        layers = self.layers
        finest = max(self.grids[calls[0].shape[1]] for calls in layers.values())
        means = [torch.stack(calls).mean(dim=0)[rows] for calls in layers.values()]
        return np.asarray(torch.stack([self.on_grid(mean, finest) for mean in means]).mean(dim=0))

    def on_grid(self, values: Tensor, finest: tuple[int, int]) -> Tensor:
        """Return maps ``(..., pixel, token)`` as ``(..., token, y, x)``, resized and clipped at 0."""
        shaped = values.transpose(-1, -2).unflatten(-1, self.grids[values.shape[-2]])
        flat = shaped.flatten(0, -4) if shaped.ndim > 4 else shaped
        resized = functional.interpolate(flat, finest, mode="bicubic", align_corners=False)
        return resized.clamp(min=0).reshape(*shaped.shape[:-2], *finest)


@dataclass
class SeenCall:
    """One call of `scaled_dot_product_attention`."""

    query: Tensor
    key: Tensor
    mask: Tensor | None
    scale: float | None
    value: Tensor | None = None

    def shares(self) -> Tensor:
        """Return the mean over attention heads of softmax(scale q k^T + mask). *Shape:* ``(row, query, key)``."""
        return self.weights().mean(dim=1)

    def outputs(self) -> Tensor:
        """Return the weighted means of values. *Shape:* ``(row, head, query, feature)``."""
        weights = self.weights()
        times = weights.shape[1] // self.value.shape[1]
        return weights @ self.value.double().repeat_interleave(times, dim=1)

    def weights(self) -> Tensor:
        """Return softmax(scale q k^T + mask) of every head. *Shape:* ``(row, head, query, key)``."""
        query, key = self.query.double(), self.key.double()
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        logits = query @ key.transpose(2, 3) * (self.scale or query.shape[-1] ** -0.5)
        if self.mask is not None and self.mask.dtype == torch.bool:
            logits = torch.where(self.mask, logits, -torch.inf)
        elif self.mask is not None:
            logits = logits + self.mask
        weights = torch.exp(logits - logits.amax(dim=-1, keepdim=True))
        return weights / weights.sum(dim=-1, keepdim=True)


class CallsWithin:
    """Records the attention calls of a denoiser's modules during a pipeline call without a trace.

    For each denoiser call, `steps` has the list of its attention calls, and `inputs` its inputs.
    """

    def __init__(self, denoiser: nn.Module, modules: str) -> None:
        self.steps: list[list[SeenCall]] = []
        self.inputs: list[dict[str, Any]] = []
        self._denoiser = denoiser
        self._modules = [m for path, m in denoiser.named_modules() if re.fullmatch(modules, path)]
        self._inside = False

    def during(self, draw: Callable[[], Any]) -> Any:
        handles = [
            self._denoiser.register_forward_pre_hook(self._start, with_kwargs=True),
            *(m.register_forward_pre_hook(self._enter) for m in self._modules),
            *(m.register_forward_hook(self._leave) for m in self._modules),
        ]
        original = functional.scaled_dot_product_attention

        def seen(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
            if self._inside:
                scale = options.get("scale")
                self.steps[-1].append(SeenCall(query, key, attn_mask, scale, value))
            return original(query, key, value, attn_mask, dropout_p, is_causal, **options)

        functional.scaled_dot_product_attention = seen
        try:
            return draw()
        finally:
            functional.scaled_dot_product_attention = original
            for handle in handles:
                handle.remove()

    def _start(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        names = list(inspect.signature(module.forward).parameters)
        self.inputs.append(dict(zip(names, args, strict=False)) | kwargs)
        self.steps.append([])

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._inside = True

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._inside = False
