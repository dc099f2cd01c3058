"""The tokens of a prompt among the keys of a denoiser, and attention between groups of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.softmax.pair_sums import pooled
from daam_syntax.maps import Subword
from daam_syntax.maps.word_attention.token_groups import TokenGroup


def subwords_of(pipeline_call: PipelineCall, prompt: int, n_text: int) -> list[Subword]:
    """Return all tokens of a prompt that are among the text keys, including padding that is not recorded."""
    found = []
    several = len(pipeline_call.blocks) > 1
    for block in pipeline_call.blocks:
        tokens = block.prompts[prompt]
        known = {subword.position: subword for subword in tokens.subwords}
        for position in range(tokens.length):
            each = known.get(position, Subword(position, "", 0, 0, "padding"))
            encoder = block.encoder if several else ""
            found.append(
                Subword(block.start + position, each.text, each.start, each.end, each.kind, encoder)
            )
    return [subword for subword in found if subword.position < n_text]


def between_groups(
    weights: Tensor, groups: Sequence[TokenGroup], group_of: Tensor, text: slice
) -> Tensor:
    """Average over the queries of each group and sum over its keys; NaN for groups that are no text."""
    n_groups = len(groups)
    queries = group_of[text]
    by_key = pooled(weights, group_of, n_groups, -1)
    counts = torch.bincount(queries, minlength=n_groups).to(weights.device)
    mean = pooled(by_key, queries, n_groups, -2) / counts[:, None]
    lacking = [n for n, group in enumerate(groups) if group.kind in ("image", "other")]
    mean[..., lacking, :] = torch.nan
    return mean
