"""The self-attention of a denoiser, for refined maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import Family, TokenLayout
from daam_syntax.attention.pipeline_call.refusals import refuse_unobserved_attention
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError


def self_attentions(
    family: Family, denoiser: nn.Module, text_attentions: Mapping[str, nn.Module]
) -> dict[str, str]:
    """Find the self-attention module that belongs to each text attention: same block, same grid.

    Parameters
    ----------
    family
        The model's family.
    denoiser
        The model.
    text_attentions
        Its text attentions by module path.

    Returns
    -------
    dict
        Maps the module path of each self-attention to that of its text attention. Empty for models whose text
        attentions may attend to pixels themselves.

    Raises
    ------
    TraceError
        If a text attention has no self-attention beside it, or one without a softmax.
    """
    beside = {
        path.removesuffix("attn2") + "attn1": path
        for path in text_attentions
        if path.endswith("attn2")
    }
    found = {
        path: module
        for path, module in denoiser.named_modules()
        if path in beside
        and hasattr(module, "get_processor")
        and not getattr(module, "is_cross_attention", False)
    }
    processors = {type(module.get_processor()).__name__ for module in found.values()}
    linear = sorted(name for name in processors if "Linear" in name)
    if linear or len(found) != (len(text_attentions) if beside else 0):
        reason = f"of linear attention ({linear[0]}), which has no softmax" if linear else ""
        raise TraceError(
            "Expected a self-attention beside each text attention, to refine maps (refine=True), but "
            f"{type(denoiser).__name__} of the {family.name} family has {len(found)} for "
            f"{len(text_attentions)} {reason}".rstrip()
            + ": trace it without refine=True."
        )
    return beside


def pixel_probabilities(
    call: AttentionCall, layout: TokenLayout | list[TokenLayout], rows: slice
) -> Tensor | None:
    """Return the probabilities with which pixels attend to pixels in a joint attention to text and pixels.

    Parameters
    ----------
    call
        The attention call.
    layout
        Which queries are pixels and which keys are text, for all rows or one layout per row.
    rows
        The rows of the batch to return.

    Returns
    -------
    Tensor or None
        None if the keys include no pixels. *Shape:* ``(row, pixel, pixel)``
    """
    if isinstance(layout, list):
        parts = [
            pixel_probabilities(call, layout[row], slice(row, row + 1))
            for row in range(rows.start, rows.stop)
        ]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if len(known) == len(parts) else None
    pixels = layout.pixels
    if call.query.shape[-2] == call.key.shape[-2]:
        keys = pixels  # queries and keys are the same tokens
    else:
        keys = slice(layout.text.stop, layout.text.stop + pixels.stop - pixels.start)
    if keys.stop > call.key.shape[-2]:
        return None
    return text_probabilities(call, rows=rows, queries=pixels, keys=keys)


def self_attention_call(
    path: str, module: nn.Module, calls: Sequence[AttentionCall], denoiser: str
) -> AttentionCall:
    """Return the only attention call of a self-attention module.

    Parameters
    ----------
    path, module
        The self-attention module.
    calls
        The calls that it made.
    denoiser
        Name of the pipeline's attribute that holds the denoiser.

    Raises
    ------
    TraceError
        If there is no call or more than one, or if it is not from every pixel to every pixel.
    """
    if not calls:
        refuse_unobserved_attention(path, module, calls, keys="all pixels", denoiser=denoiser)
    sizes = [(call.query.shape[-2], call.key.shape[-2]) for call in calls]
    if len(calls) > 1 or sizes[0][0] != sizes[0][1]:
        raise TraceError(
            f"Expected {path} to attend once, from every pixel to every pixel, to refine maps, but its calls had "
            f"these numbers of (queries, keys): {sizes}. Switch off what changes self-attention (reference images, "
            "merged pixels), or trace without refine=True."
        )
    return calls[0]
