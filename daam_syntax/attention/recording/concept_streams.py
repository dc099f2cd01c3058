"""Residual streams of texts outside the prompt, beside a denoiser with joint attention (after Helbling et al. 2025).

In joint attention a text changes from block to block with the image, so another text has no keys until it has passed
through the same blocks. Each text therefore gets a residual stream of its own, in each step and for each image. It
begins as the denoiser embeds it. In every block its tokens go through the weights of the block's text side (norms,
modulation, projections to queries, keys and values, position embeddings as text, output projection, feed-forward); in
blocks of a single stream these are the weights that the prompt's tokens go through, too. Its queries attend to the
keys of the image, those of the block's actual attention call, and to its own keys. Nothing attends to it: the block
runs again with the text and one dummy token in the place of the image, and its result goes into the stream alone.

The attention of a pixel to the text is a softmax over the text's keys and those of the image, without the prompt's;
that to the prompt runs over the prompt's keys and those of the image. Both have the same scale, and the prompt as
another text has its ordinary maps. A word's probability depends on the words beside it, so compare texts of the same
frame. What depends on the prompt as a whole stays that of the prompt: pooled embeddings, and the positions of pixels
where these follow the text (Lumina 2, Z-Image).

Differences from ConceptAttention: texts do not attend to each other, so a map does not depend on which others are
traced; a text keeps its special tokens, padding, and template, as a prompt does; and blocks of a single stream count,
too (choose layers with ``layers=``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import Family, TokenLayout
from daam_syntax.attention.families.text_streams import TextStart, TextStream
from daam_syntax.attention.hooks.logsumexp import LogSumExpReader
from daam_syntax.attention.hooks.owned_hooks import OwnedHook, remove_hooks
from daam_syntax.attention.hooks.suspension import suspended_hooks
from daam_syntax.attention.pipeline_call.call import EncodedText
from daam_syntax.attention.recording.concept_attention import ConceptAttention
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError


@dataclass(frozen=True)
class ConceptCall:
    """The attention of a text's stream, and of the image to it, in one block.

    Attributes
    ----------
    call
        The queries are those of the text and then, if the layer is recorded, those of the drawn image; the keys are
        those of the text and then those of the image (and of reference images).
    keys
        Which of the text's tokens are text keys.
    n_tokens
        Number of the text's tokens.
    """

    call: AttentionCall
    keys: slice
    n_tokens: int

    @property
    def pixels(self) -> slice:
        """Which queries are pixels."""
        return slice(self.n_tokens, self.call.query.shape[-2])


class ConceptStreams:
    """Carries texts outside the prompt beside a denoiser with joint attention.

    Parameters
    ----------
    family
        The denoiser's family.
    denoiser
        The denoiser.
    attentions
        Paths of its text attentions. The block of each is the module above it.
    """

    def __init__(self, family: Family, denoiser: nn.Module, attentions: Sequence[str]) -> None:
        assert family.text_stream is not None, "other families are refused beforehand"
        self._stream: TextStream = family.text_stream
        self._family = family
        self._denoiser = denoiser
        self._blocks = {path: path.rpartition(".")[0] for path in attentions}
        self._arguments: dict[str, Any] = {}  # of the block that runs, without pixels and text
        self._has_own_text = False
        self._running = ""
        self._started: dict[int, TextStart] = {}
        self._states: dict[int, Tensor] = {}
        self._reader = LogSumExpReader()

    def attach(self) -> None:
        """Register hooks on the blocks."""
        for path in self._blocks.values():
            self._denoiser.get_submodule(path).register_forward_pre_hook(
                OwnedHook(self, self._before_block(path)), with_kwargs=True
            )

    def detach(self) -> None:
        """Remove the hooks. Does nothing if they are removed already."""
        for path in self._blocks.values():
            remove_hooks(self._denoiser.get_submodule(path), self)
        self.end_step()

    def end_step(self) -> None:
        """Forget the streams, which begin anew in each denoiser call."""
        self._arguments, self._running = {}, ""
        self._started.clear()
        self._states.clear()

    def _before_block(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            signature = inspect.signature(type(module).forward)
            bound = signature.bind(module, *args, **kwargs).arguments
            stream = self._stream
            self._has_own_text = bound.get(stream.text) is not None
            without = {stream.tokens, stream.text} if self._has_own_text else {stream.tokens}
            self._arguments = {name: bound[name] for name in list(bound)[1:] if name not in without}
            self._running = path

        return hook

    @torch.no_grad()
    def run_block(
        self,
        path: str,
        text: EncodedText,
        call: AttentionCall,
        layouts: Sequence[TokenLayout],
        rows: slice,
        inputs: Mapping[str, Any],
        *,
        with_pixels: bool,
    ) -> ConceptCall:
        """Carry a text through the block of an attention that has just run.

        Parameters
        ----------
        path
            Path of the attention.
        text
            The text.
        call
            Its attention call, with values.
        layouts
            For each image, which queries are pixels and which keys are text.
        rows
            The conditional rows of the batch, one per image.
        inputs
            The denoiser's inputs by name.
        with_pixels
            Whether the pixels' queries are needed, too.
        """
        assert self._running == self._blocks[path], "an attention runs in its block"
        block = self._denoiser.get_submodule(self._running)
        device = call.query.device
        with suspended_hooks():
            if id(text) not in self._states:
                self._begin(text, inputs, rows, device)
            start, states = self._started[id(text)], self._states[id(text)].to(device)
            is_first = layouts[0].text.stop <= layouts[0].pixels.start
            n = states.shape[1]
            own = slice(0, n) if is_first else slice(1, n + 1)
            attending = ConceptAttention(
                self._reader, call, layouts, rows, own, with_pixels=with_pixels
            )
            arguments = self._block_arguments(states, start, layouts[0], rows, len(call.query), own)
            with attending:
                # The class's own, because weights are on the device already and hooks are not to run again.
                result = type(block).forward(block, **_on(device, arguments))
        if attending.made is None:
            raise TraceError(
                f"Expected {path} to attend from text and image together, to map text outside the prompt (also=), but "
                "it did not when its block ran with another text: trace without also=."
            )
        if isinstance(result, tuple):
            self._states[id(text)] = result[self._stream.text_output]
        else:
            self._states[id(text)] = result[:, own]
        keys = slice(start.first, start.first + start.n_text)
        return ConceptCall(attending.made, keys, n)

    def _begin(
        self, text: EncodedText, inputs: Mapping[str, Any], rows: slice, device: torch.device
    ) -> None:
        given = inputs[self._family.text]
        like = given[0]
        encoded = text.encoded
        as_given = (
            [each.to(like) for each in encoded]
            if isinstance(encoded, list)
            else encoded.to(device=device, dtype=like.dtype)
        )
        mask = None if text.mask is None else text.mask.to(device)
        start = self._stream.begin(self._denoiser, as_given, mask, _on(device, dict(inputs)))
        self._started[id(text)] = start
        self._states[id(text)] = start.states.expand(rows.stop - rows.start, -1, -1)

    def _block_arguments(
        self,
        states: Tensor,
        start: TextStart,
        layout: TokenLayout,
        rows: slice,
        n_rows: int,
        own: slice,
    ) -> dict[str, Any]:
        """Return the arguments of a block for a text and a dummy token, in place of the prompt and the image."""
        stream, given = self._stream, self._arguments
        arguments = {
            name: _of_rows(value, rows, n_rows) if name != stream.rotary else value
            for name, value in given.items()
        }
        dummy = states.new_zeros(len(states), 1, states.shape[-1])
        if self._has_own_text:
            arguments |= {stream.text: states, stream.tokens: dummy}
        else:
            parts = [states, dummy] if own.start == 0 else [dummy, states]
            arguments[stream.tokens] = torch.cat(parts, dim=1)
        if given.get(stream.rotary) is not None:
            arguments[stream.rotary] = stream.rotary_of(given[stream.rotary], layout, start)
        if stream.mask in given:
            mask = start.mask
            arguments[stream.mask] = None if mask is None else mask.expand(len(states), -1)
        for name in stream.per_pixel:
            if given.get(name) is not None:
                arguments[name] = arguments[name][:, :1]
        return arguments


def _of_rows(value: Any, rows: slice, n_rows: int) -> Any:
    """Return the rows of a tensor that has one for each row of the batch; others unchanged."""
    if rows == slice(0, n_rows):
        return value
    if isinstance(value, Tensor) and value.ndim and len(value) == n_rows:
        return value[rows]
    if isinstance(value, dict):
        return {name: _of_rows(each, rows, n_rows) for name, each in value.items()}
    return value


def _on(device: torch.device, value: Any) -> Any:
    """Return tensors, also inside of containers, on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _on(device, each) for name, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_on(device, each) for each in value)
    return value
