"""Measure, for every step and attention head, how many slots of the memory pixels use, and which ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from daam_syntax.attention import ObservedAttention
from daam_syntax.language import Sentence
from daam_syntax.studies.framework.special_tokens import NAMES
from daam_syntax.studies.framework.word_classes import CONTENT

GROUPS: Final = ("start", "content", "function", "end", "template", "padding", "other")
"""Groups of keys: special tokens, content and function words, padding, and keys that are not text."""


def slots(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return entropy (nats) and effective number of slots of each query.

    Parameters
    ----------
    weights
        Attention weights, summing to 1 over keys. *Shape:* (attention head, query, key)

    Returns
    -------
    tuple of Tensor
        *Shape:* (attention head, query) each.
    """
    entropy = torch.special.entr(weights).sum(-1)
    return entropy, entropy.exp()


class Reader:
    """Measures the attention of one image while it is generated; `read` is a callback of `daam_syntax.observe`."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._sums: dict[tuple[str, str], list[np.ndarray]] = {}  # (attention head, word) per step
        self._pixels: dict[
            tuple[int, int], list[np.ndarray]
        ] = {}  # slots per attention call, by grid
        self.heads: list[dict[str, Any]] = []

    def read(self, observed: ObservedAttention) -> None:
        """Measure one attention call."""
        weights = observed.probabilities(0, queries=observed.pixels[0])
        entropies, used = slots(weights)
        entropy, n_slots = entropies.mean(-1), used.mean(-1)
        mean = weights.mean(1).cpu()  # (attention head, key)
        text = mean[:, observed.text[0]]
        assert observed.grid is not None, "attention to text has a grid"
        grid = "x".join(map(str, observed.grid))
        self._pixels.setdefault(observed.grid, []).append(used.mean(0).cpu().numpy())
        words = [observed.word_keys(0, index) for index in range(len(self._sentence))]
        groups = self._groups(observed, words)
        shares = {group: mean[:, keys].sum(-1) for group, keys in groups.items()}
        if weights.shape[-1] > text.shape[-1]:
            shares["other"] = 1 - text.sum(-1)
        for head in range(len(weights)):
            self.heads.append(
                {
                    "step": observed.step,
                    "layer": observed.path,
                    "grid": grid,
                    "attention_head": head,
                    "n_keys": weights.shape[-1],
                    "entropy": float(entropy[head]),
                    "slots": float(n_slots[head]),
                    **{group: float(share[head]) for group, share in shares.items()},
                }
            )
        by_word = torch.stack([mean[:, keys].sum(-1) for keys in words], dim=1)
        self._sums.setdefault((observed.path, grid), []).append(by_word.numpy())

    def _groups(self, observed: ObservedAttention, words: list[list[int]]) -> dict[str, list[int]]:
        """Return the keys of each group in `GROUPS` that has any."""
        groups = {kind: set(observed.kind_keys(0, kind)) for kind in NAMES if kind != "text"}
        groups |= {"content": set(), "function": set()}
        for index, keys in enumerate(words):
            is_content = self._sentence[index].pos in CONTENT
            groups["content" if is_content else "function"].update(keys)
        groups["function"] -= groups["content"]  # a subword shared by two words
        return {group: sorted(keys) for group, keys in groups.items() if keys}

    def pixels(self) -> list[tuple[str, np.ndarray]]:
        """Return the mean effective number of slots of each pixel, over attention heads, steps and layers, by grid."""
        finest_first = sorted(self._pixels.items(), reverse=True)
        named = [(grid, np.mean(calls, axis=0).reshape(grid)) for grid, calls in finest_first]
        return [
            (f"{height}x{width} grid:\n{values.min():.1f} to {values.max():.1f} slots", values)
            for (height, width), values in named
        ]

    def words(self) -> list[dict[str, Any]]:
        """Return the share of each word in each layer and attention head, averaged over steps."""
        rows = []
        for (layer, grid), steps in self._sums.items():
            mean = np.mean(steps, axis=0)
            for index, token in enumerate(self._sentence.tokens):
                rows += [
                    {
                        "layer": layer,
                        "grid": grid,
                        "attention_head": head,
                        "word_index": index,
                        "word": token.text,
                        "pos": token.pos,
                        "share": float(mean[head, index]),
                    }
                    for head in range(len(mean))
                ]
        return rows
