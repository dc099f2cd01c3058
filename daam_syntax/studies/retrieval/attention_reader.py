"""What each head reads in each step: how many slots of the memory its pixels use, and what these hold."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.controller import CallSite
from daam_syntax.attention.softmax.edited_weights import attention_weights
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import align
from daam_syntax.studies.framework.common import CONTENT
from daam_syntax.studies.framework.special_tokens import keys_by_kind

GROUPS: Final = ("start", "content", "function", "end", "template", "padding", "other")
"""What the keys are: special tokens, words of `CONTENT` and others, padding, and whatever is not text."""


def slots(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return entropy (nats) and effective number of slots of each query.

    Parameters
    ----------
    weights
        Attention weights that sum to 1. *Shape:* (head, query, key)

    Returns
    -------
    tuple of Tensor
        *Shape:* (head, query) each.
    """
    entropy = torch.special.entr(weights).sum(-1)
    return entropy, entropy.exp()


class Reader:
    """Reads the attention of one drawing of one image."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._groups: dict[str, list[int]] = {}  # of text keys
        self._words: dict[int, list[int]] = {}
        self._sums: dict[tuple[str, str], list[np.ndarray]] = {}  # (head, word) of each step
        self._pixels: dict[tuple[int, int], list[np.ndarray]] = {}  # slots of each call, by grid
        self.heads: list[dict[str, Any]] = []

    def begin(self, drawing: PipelineCall) -> None:
        """Find out what the text keys are."""
        groups = {kind: set(keys) for kind, keys in keys_by_kind(drawing).items() if kind != "text"}
        groups |= {"content": set(), "function": set()}
        for block in drawing.blocks:
            (read,) = block.prompts
            for word in align(self._sentence, read.subwords, read.truncated_at):
                keys = {block.start + read.subwords[row].position for row in word.subwords}
                self._words.setdefault(word.index, []).extend(sorted(keys))
                is_content = self._sentence[word.index].pos in CONTENT
                groups["content" if is_content else "function"] |= keys
        groups["function"] -= groups["content"]  # a subword of two words
        self._groups = {group: sorted(keys) for group, keys in groups.items() if keys}

    def end(self, drawing: PipelineCall) -> None:
        """Note nothing more."""

    def read(self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        """Measure a call; its output stays."""
        split = site.splits[0]
        weights = attention_weights(call, site.rows.start, split.pixels)
        entropies, used = slots(weights)
        entropy, n_slots = entropies.mean(-1), used.mean(-1)
        mean = weights.mean(1).cpu()  # (head, key)
        text = mean[:, split.text]
        assert site.grid is not None, "calls with the text have a grid"
        grid = "x".join(map(str, site.grid))
        self._pixels.setdefault(site.grid, []).append(used.mean(0).cpu().numpy())
        shares = {group: text[:, keys].sum(-1) for group, keys in self._groups.items()}
        if weights.shape[-1] > split.text.stop - split.text.start:
            shares["other"] = 1 - text.sum(-1)
        for head in range(len(weights)):
            self.heads.append(
                {
                    "step": site.step,
                    "layer": site.path,
                    "grid": grid,
                    "head": head,
                    "n_keys": weights.shape[-1],
                    "entropy": float(entropy[head]),
                    "slots": float(n_slots[head]),
                    **{group: float(share[head]) for group, share in shares.items()},
                }
            )
        by_word = torch.stack([text[:, keys].sum(-1) for keys in self._words.values()], dim=1)
        self._sums.setdefault((site.path, grid), []).append(by_word.numpy())
        return output

    def pixels(self) -> list[tuple[str, np.ndarray]]:
        """Return the effective number of slots of each pixel, a mean over heads, steps and layers, by grid."""
        finest_first = sorted(self._pixels.items(), reverse=True)
        named = [(grid, np.mean(calls, axis=0).reshape(grid)) for grid, calls in finest_first]
        return [
            (f"{height}x{width} grid:\n{values.min():.1f} to {values.max():.1f} slots", values)
            for (height, width), values in named
        ]

    def words(self) -> list[dict[str, Any]]:
        """Return the share of each word in each layer and head, a mean over steps."""
        rows = []
        for (layer, grid), steps in self._sums.items():
            mean = np.mean(steps, axis=0)
            for place, index in enumerate(self._words):
                token = self._sentence[index]
                rows += [
                    {
                        "layer": layer,
                        "grid": grid,
                        "head": head,
                        "word_index": index,
                        "word": token.text,
                        "pos": token.pos,
                        "share": float(mean[head, place]),
                    }
                    for head in range(len(mean))
                ]
        return rows
