"""Contrasts of all pairs of words of a sentence at once.

For a head h and a dependent d, words h' and d' of the same parts of speech trade places with them. If the overlap of
two words is the sum of an effect of either word, and a relation adds something, then

    o(h, d) + o(h', d') - o(h', d) - o(h, d')

is what the relation adds: twice if h' and d' are joined by the same relation, once if they are unrelated. The pairs
(h', d) and (h, d') are always unrelated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

_ROUNDING: Final = 1e-12
"""Contrasts below this share of the largest cell of an image are 0."""


@dataclass(frozen=True)
class PairContrasts:
    """Contrasts of pairs of words of one sentence.

    Attributes
    ----------
    two_sided
        Each pair against pairs in which either word is exchanged. *Shape:* ``(..., pair)``. NaN where no four words
        allow it.
    one_sided
        Each pair against pairs in which one word is exchanged: effects of the other word cancel, effects of the
        exchanged one do not. *Shape:* ``(..., pair)``. NaN where no word has the part of speech.
    """

    two_sided: np.ndarray
    one_sided: np.ndarray


def exchange(
    values: np.ndarray,
    heads: np.ndarray,
    dependents: np.ndarray,
    twins: np.ndarray,
    unrelated: np.ndarray,
    alike: np.ndarray,
) -> PairContrasts:
    """Compare pairs of words with their exchanged pairs.

    Parameters
    ----------
    values
        Overlap and covariates of ordered pairs of words; any number where they are missing. *Shape:* ``(..., head,
        dependent)``.
    heads, dependents
        The words of each pair. *Shape:* ``(pair,)`` each.
    twins
        Of each pair, the pairs joined by the same relation; none if it is unrelated. *Shape:* ``(pair, head,
        dependent)``, boolean.
    unrelated
        Pairs that are unrelated and measured. *Shape:* ``(head, dependent)``, boolean.
    alike
        Pairs of words of one part of speech; a word is not like itself. *Shape:* ``(word, word)``, boolean.
    """
    # Axes: pair, h', d'. Cells (h', d) and (h, d') must be unrelated.
    other_heads = alike[heads] & unrelated[:, dependents].T  # (pair, h')
    other_dependents = alike[dependents] & unrelated[heads]  # (pair, d')
    both = other_heads[:, :, None] & other_dependents[:, None, :]
    both &= ~np.eye(len(alike), dtype=bool)
    twins = both & twins & ~unrelated
    has_twin = np.asarray(twins.any(axis=(1, 2)))
    chosen = np.where(has_twin[:, None, None], twins, both & unrelated)
    n = chosen.sum(axis=(1, 2))
    share = chosen / np.maximum(n, 1)[:, None, None]
    pair = np.arange(len(heads))
    # Contrasts are sums of cells with these weights, the same in all images. Shape: (pair, head, dependent).
    two_sided = share.copy()
    two_sided[pair, :, dependents] -= share.sum(axis=2)
    two_sided[pair, heads, :] -= share.sum(axis=1)
    two_sided[pair, heads, dependents] += 1
    two_sided /= np.where(has_twin, 2, 1)[:, None, None]
    one_sided, n_sides = _one_sided(heads, dependents, other_heads, other_dependents)
    flat = values.reshape(*values.shape[:-2], -1)
    least = _ROUNDING * np.abs(flat).max(axis=-1, keepdims=True, initial=0.0)

    def weighted(weights: np.ndarray, known: np.ndarray) -> np.ndarray:
        contrast = flat @ weights.reshape(len(pair), flat.shape[-1]).T
        # A test of what only rounding leaves would call a bias of rounding an effect.
        contrast[np.abs(contrast) <= least] = 0.0
        return np.where(known, contrast, np.nan)

    return PairContrasts(weighted(two_sided, n > 0), weighted(one_sided, n_sides > 0))


def _one_sided(
    heads: np.ndarray, dependents: np.ndarray, other_heads: np.ndarray, other_dependents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the mean of both one-sided contrasts, or of the one that there is, and their number.

    Weights have the shape ``(pair, head, dependent)``, numbers ``(pair,)``.
    """
    n_heads, n_dependents = other_heads.sum(axis=1), other_dependents.sum(axis=1)
    sides = (n_heads > 0).astype(int) + (n_dependents > 0)
    n_words = other_heads.shape[1]
    pair = np.arange(len(heads))
    weights = np.zeros((len(pair), n_words, n_words))
    of_side = 1 / np.maximum(sides, 1)
    weights[pair, :, dependents] -= other_heads * (of_side / np.maximum(n_heads, 1))[:, None]
    weights[pair, heads, :] -= other_dependents * (of_side / np.maximum(n_dependents, 1))[:, None]
    weights[pair, heads, dependents] += 1
    return weights, sides
