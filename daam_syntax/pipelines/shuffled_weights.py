"""Randomize weights for a while, after Adebayo et al. (2018)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def shuffled(weights: Sequence[Tensor], seed: int) -> Iterator[None]:
    """Shuffle the entries of each weight, and restore them afterwards.

    Parameters
    ----------
    weights
        Weights of any shape, on any device; each is changed in place.
    seed
        Seed of the order.
    """
    before = [weight.detach().clone() for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for weight in weights:
                places = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[places].view_as(weight))
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
