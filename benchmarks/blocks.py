"""Single blocks of real models, with random weights, whose attention is listened to as a trace does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.hooks.attention_hooks import AttentionHooks
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities

N_TOKENS = 13  # of a prompt of eleven words, with its start and its end


@dataclass
class Block:
    """A block with inputs of the real size.

    Attributes
    ----------
    module
        The block, or its attention alone.
    inputs
        What it is called with.
    attention
        The path of its attention in it; "" where it is the attention itself.
    split
        Which of the attention's queries are pixels, and which keys are text.
    rows
        The rows of the batch that a trace would record.
    """

    module: nn.Module
    inputs: Mapping[str, Any]
    attention: str
    split: TokenLayout
    rows: slice

    def run(self) -> Any:
        """Call it."""
        with torch.no_grad():
            return self.module(**self.inputs)


class _Recording:
    """Does with an attention's calls what a trace does."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._sums = LayerSums()

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Nothing needs to be known of it."""

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add what was attended to."""
        (call,) = calls
        block = self._block
        shares = text_probabilities(
            call,
            rows=block.rows,
            queries=block.split.pixels,
            keys=block.split.text,
            tokens=list(range(N_TOKENS)),
        )
        self._sums.add(path, (shares.shape[1], 1), shares)

    def denoiser_returned(self) -> None:
        """Nothing needs to be checked."""


@contextmanager
def traced(block: Block) -> Iterator[None]:
    """Listen to a block's attention."""
    attention = block.module.get_submodule(block.attention)
    tap = AttentionHooks(block.module, {block.attention: attention}, _Recording(block))
    tap.attach()
    try:
        yield
    finally:
        tap.detach()


def inside(block: Block, around: Callable[[], Any]) -> Callable[[], Any]:
    """Return a way to run a block inside a context."""

    def run() -> None:
        with around():
            block.run()

    return run


def sdxl_block(*, pixels: int, heads: int) -> Block:
    """Make a transformer block of SDXL's UNet, with one image and guidance."""
    from diffusers.models.attention import BasicTransformerBlock

    torch.manual_seed(0)
    width = 64 * heads
    module = BasicTransformerBlock(width, heads, 64, cross_attention_dim=2048).eval()
    inputs = {
        "hidden_states": torch.randn(2, pixels, width),
        "encoder_hidden_states": torch.randn(2, 77, 2048),
    }
    return Block(module, inputs, "attn2", TokenLayout(slice(0, pixels), slice(0, 77)), slice(1, 2))


def flux_block(*, pixels: int, single: bool) -> Block:
    """Make a double-stream or a single-stream block of Flux, with 512 text tokens."""
    from diffusers.models.transformers.transformer_flux import (
        FluxPosEmbed,
        FluxSingleTransformerBlock,
        FluxTransformerBlock,
    )

    torch.manual_seed(0)
    module = (FluxSingleTransformerBlock if single else FluxTransformerBlock)(3072, 24, 128)
    side = int(pixels**0.5)
    ids = torch.zeros(512 + pixels, 3)
    ids[512:, 1:] = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    inputs = {
        "hidden_states": torch.randn(1, pixels, 3072),
        "encoder_hidden_states": torch.randn(1, 512, 3072),
        "temb": torch.randn(1, 3072),
        "image_rotary_emb": FluxPosEmbed(10000, [16, 56, 56])(ids),
    }
    split = TokenLayout(slice(512, 512 + pixels), slice(0, 512))
    return Block(module.eval(), inputs, "attn", split, slice(0, 1))


def attention_of(block: Block) -> Block:
    """Take the cross-attention out of a block: little else than it runs beside what a trace does."""
    return Block(
        block.module.get_submodule(block.attention), block.inputs, "", block.split, block.rows
    )
