"""Random weights of IP-Adapters, in the form in which diffusers loads them."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def adapter_weights(
    width: int, attentions: Mapping[str, tuple[int, ...]], generator: torch.Generator
) -> dict[str, dict[str, torch.Tensor]]:
    """Draw the weights of an adapter whose image has four keys.

    Parameters
    ----------
    width
        Features of the text that the model attends to.
    attentions
        Shapes of the weights of the attention to the image, by name.
    generator
        Draws the weights.
    """

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    projection = {
        "proj.weight": random(4 * width, 8),
        "proj.bias": random(4 * width),
        "norm.weight": random(width),
        "norm.bias": random(width),
    }
    return {
        "image_proj": projection,
        "ip_adapter": {name: random(*shape) for name, shape in attentions.items()},
    }
