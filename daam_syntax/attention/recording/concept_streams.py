"""Residual streams of texts outside the prompt, beside a denoiser with joint attention (after Helbling et al. 2025).

In joint attention a text changes from block to block with the image, so another text has no keys until it has passed
through the same blocks. Each text therefore gets a residual stream of its own, in each step and for each image. It
begins as the denoiser embeds it. In every block its tokens go through the weights of the block's text side (norms,
modulation, projections to queries, keys and values, position embeddings as text, output projection, feed-forward); in
blocks of a single stream these are the weights that the prompt's tokens go through, too. Its queries attend to the
keys of the image, those of the block's actual attention call, and to its own keys. Nothing attends to it: the block
runs again with the text and one dummy token in the place of the image, and its result goes into the stream alone.

So the prompt as another text has its ordinary maps. What depends on the prompt as a whole stays that of the prompt:
pooled embeddings, and the positions of pixels where these follow the text (Lumina 2, Z-Image).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from daam_syntax.attention.families import Family, TokenLayout
from daam_syntax.attention.families.text_streams import TextStart, TextStream
from daam_syntax.attention.hooks.logsumexp import LogSumExpReader
from daam_syntax.attention.hooks.owned_hooks import OwnedHook, remove_hooks
from daam_syntax.attention.hooks.suspension import suspended_hooks
from daam_syntax.attention.pipeline_call.call import EncodedText
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
            attending = _ConceptAttention(
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


class _ConceptAttention(TorchFunctionMode):
    """Lets a text attend to the image of another attention call in the place of a dummy token."""

    def __init__(
        self,
        reader: LogSumExpReader,
        call: AttentionCall,
        layouts: Sequence[TokenLayout],
        rows: slice,
        own: slice,
        *,
        with_pixels: bool,
    ) -> None:
        super().__init__()
        self._reader = reader
        self._call = call
        self._layouts = layouts
        self._rows = rows
        self._own = own
        self._n = own.stop - own.start
        self._with_pixels = with_pixels
        self.made: AttentionCall | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not nn.functional.scaled_dot_product_attention or self.made is not None:
            return func(*args, **kwargs)
        given = AttentionCall.from_arguments(args, kwargs)
        if given.query.shape[-2] != self._n + 1 or given.key.shape[-2] != self._n + 1:
            return func(*args, **kwargs)  # among pixels alone
        value = args[2] if len(args) > 2 else kwargs["value"]
        return self._attend(given, value, kwargs)

    def _attend(self, given: AttentionCall, value: Tensor, kwargs: Mapping[str, Any]) -> Tensor:
        assert self._call.value is not None, "values are kept for streams"
        images = [image_keys(layout) for layout in self._layouts]
        image_key, image_value = (
            stacked(each, self._rows, images) for each in (self._call.key, self._call.value)
        )
        key = torch.cat([given.key[:, :, self._own], image_key], dim=2)
        values = torch.cat([value[:, :, self._own], image_value], dim=2)
        query = given.query[:, :, self._own]
        if self._with_pixels:
            pixels = [layout.pixels for layout in self._layouts]
            query = torch.cat([query, stacked(self._call.query, self._rows, pixels)], dim=2)
        mask = self._mask(given.mask, query.shape[2], key.shape[2])
        options = {
            name: kwargs[name] for name in ("scale", "enable_gqa") if kwargs.get(name) is not None
        }
        output, logsumexp = self._reader.attend(
            (query, key, values), {"attn_mask": mask, **options}
        )
        self.made = AttentionCall(
            query,
            key,
            mask,
            given.scale,
            enable_gqa=given.enable_gqa,
            logsumexp=logsumexp,
            value=values,
            output=output,
        )
        whole = output.new_zeros(*output.shape[:2], self._n + 1, output.shape[-1])
        whole[:, :, self._own] = output[:, :, : self._n]
        return whole

    def _mask(self, mask: Tensor | None, n_queries: int, n_keys: int) -> Tensor | None:
        """Let the dummy's mask be that of every token of the image."""
        if mask is None:
            return None
        dummy = self._n if self._own.start == 0 else 0
        text = list(range(self._own.start, self._own.stop))
        keys = torch.tensor(text + [dummy] * (n_keys - self._n), device=mask.device)
        mask = mask[..., keys]
        if mask.shape[-2] == 1:
            return mask
        queries = torch.tensor(text + [dummy] * (n_queries - self._n), device=mask.device)
        return mask[..., queries, :]


def image_keys(layout: TokenLayout) -> slice:
    """Return which keys of a joint attention are the image's, with those of reference images and padding of pixels."""
    if layout.text.stop > layout.pixels.start:
        return slice(0, layout.text.start)
    return slice(layout.text.stop, max(each.stop for each in (layout.pixels, *layout.references)))


def stacked(values: Tensor, rows: slice, parts: Sequence[slice]) -> Tensor:
    """Return a part of each row, *shape* ``(row, head, token, feature)``."""
    if all(part == parts[0] for part in parts):
        return values[rows, :, parts[0]]
    chosen = zip(range(rows.start, rows.stop), parts, strict=True)
    return torch.stack([values[row, :, part] for row, part in chosen])


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
