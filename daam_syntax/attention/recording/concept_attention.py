"""The attention call of a text outside the prompt, in the block that runs again with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.hooks.logsumexp import LogSumExpReader
from daam_syntax.attention.softmax.probabilities import AttentionCall


class ConceptAttention(TorchFunctionMode):
    """Lets a text attend to the image of another attention call in the place of a dummy token.

    Parameters
    ----------
    reader
        Runs the attention, with its log-sum-exp.
    call
        The attention call of the image and the prompt, with values.
    layouts
        For each image, which queries are pixels and which keys are text.
    rows
        The conditional rows of the batch.
    own
        Which tokens of the block's sequence are the text; the other one is the dummy.
    with_pixels
        Whether the pixels' queries attend, too.

    Attributes
    ----------
    made
        The call that was made in place of the block's; None before.
    """

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
