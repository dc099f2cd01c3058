"""Finding a denoiser's self-attention, for refined maps, and refusing what cannot be refined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import Family, TokenLayout
from daam_syntax.attention.pipeline_call.refusals import refuse_silent_attention
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError


def self_attentions(
    family: Family, denoiser: nn.Module, text_attentions: Mapping[str, nn.Module]
) -> dict[str, str]:
    """Find the self-attentions that stand beside the text attentions, on the same grids.

    Parameters
    ----------
    family
        The model's family.
    denoiser
        The model.
    text_attentions
        Its text attentions by path.

    Returns
    -------
    dict
        The path of the text attention beside it, by the self-attention's path; empty where the text attentions
        may attend to pixels themselves.

    Raises
    ------
    TraceError
        If some text attention has none beside it, or one that is no softmax.
    """
    beside = {
        path.removesuffix("attn2") + "attn1": path
        for path in text_attentions
        if path.endswith("attn2")
    }
    there = {
        path: module
        for path, module in denoiser.named_modules()
        if path in beside
        and hasattr(module, "get_processor")
        and not getattr(module, "is_cross_attention", False)
    }
    processors = {type(module.get_processor()).__name__ for module in there.values()}
    linear = sorted(name for name in processors if "Linear" in name)
    if linear or len(there) != (len(text_attentions) if beside else 0):
        reason = f"of linear attention ({linear[0]}), which has no shares" if linear else ""
        raise TraceError(
            "Expected a self-attention beside each text attention, to refine maps (refine=True), but "
            f"{type(denoiser).__name__} of the {family.name} family has {len(there)} for "
            f"{len(text_attentions)} {reason}".rstrip()
            + ": trace it without refine=True."
        )
    return beside


def shares_of_pixels(
    call: AttentionCall, split: TokenLayout | list[TokenLayout], rows: slice
) -> Tensor | None:
    """Return what pixels give to pixels in an attention to text and pixels.

    Parameters
    ----------
    call
        The call.
    split
        Where pixels and text are in it.
    rows
        The rows of the batch that are wanted.

    Returns
    -------
    Tensor or None
        *Shape:* (row, pixel, pixel). None if no pixels are among the keys.
    """
    if isinstance(split, list):
        parts = [
            shares_of_pixels(call, split[row], slice(row, row + 1))
            for row in range(rows.start, rows.stop)
        ]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if len(known) == len(parts) else None
    pixels = split.pixels
    if call.query.shape[-2] == call.key.shape[-2]:
        keys = pixels  # queries and keys are the same tokens
    else:
        keys = slice(split.text.stop, split.text.stop + pixels.stop - pixels.start)
    if keys.stop > call.key.shape[-2]:
        return None
    return text_probabilities(call, rows=rows, queries=pixels, keys=keys)


def self_attention_call(
    path: str, module: nn.Module, calls: Sequence[AttentionCall], denoiser: str
) -> AttentionCall:
    """Return the one call of a self-attention.

    Parameters
    ----------
    path, module
        The attention.
    calls
        The calls it made.
    denoiser
        The pipeline's attribute that holds the denoiser.

    Raises
    ------
    TraceError
        If there is no call, or it is not of every pixel to every pixel.
    """
    if not calls:
        refuse_silent_attention(path, module, calls, keys="all pixels", denoiser=denoiser)
    sizes = [(call.query.shape[-2], call.key.shape[-2]) for call in calls]
    if len(calls) > 1 or sizes[0][0] != sizes[0][1]:
        raise TraceError(
            f"Expected {path} to attend once, from every pixel to every pixel, to refine maps, but it "
            f"attended so (queries, keys): {sizes}. Switch off what changes self-attention (reference "
            "images, merged pixels), or trace without refine=True."
        )
    return calls[0]
