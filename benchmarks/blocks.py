"""Single transformer blocks of real models, with random weights, observed the way a trace observes them."""

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

N_TOKENS = 13  # a prompt of eleven words plus the start and end tokens


@dataclass
class Block:
    """A block with inputs of realistic size.

    Attributes
    ----------
    module
        The block, or only its attention.
    inputs
        Its keyword arguments.
    attention
        Path of the attention inside `module`; "" if `module` is the attention.
    split
        Which queries of the attention are pixels and which keys are text.
    rows
        Batch rows that a trace would record.
    """

    module: nn.Module
    inputs: Mapping[str, Any]
    attention: str
    split: TokenLayout
    rows: slice

    def run(self) -> Any:
        """Run the block once without gradients."""
        with torch.no_grad():
            return self.module(**self.inputs)


class _Recording:
    """Observer that does the work of a trace: text probabilities, summed by layer."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._sums = LayerSums()

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Do nothing: the layout is fixed."""

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add the text probabilities of this call."""
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
        """Do nothing: there is no call to validate."""


@contextmanager
def traced(block: Block) -> Iterator[None]:
    """Record the attention of a block."""
    attention = block.module.get_submodule(block.attention)
    hooks = AttentionHooks(block.module, {block.attention: attention}, _Recording(block))
    hooks.attach()
    try:
        yield
    finally:
        hooks.detach()


def inside(block: Block, around: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that runs a block inside a context."""

    def run() -> None:
        with around():
            block.run()

    return run


def sdxl_block(*, pixels: int, heads: int) -> Block:
    """Build a transformer block of SDXL's UNet, with inputs for one image under guidance."""
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
    """Build a double-stream or single-stream block of Flux, with 512 text tokens."""
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
    """Return the attention of a block as a block of its own, so that little else is timed."""
    return Block(
        block.module.get_submodule(block.attention), block.inputs, "", block.split, block.rows
    )
