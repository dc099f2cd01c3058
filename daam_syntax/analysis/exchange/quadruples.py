"""Contrasts of all pairs of words of a sentence at once.

For a head h and a dependent d, words h' and d' of the same parts of speech trade places with them. If the overlap of
two words is the sum of an effect of either word, and a relation adds something, then

    o(h, d) + o(h', d') - o(h', d) - o(h, d')

is what the relation adds: twice if h' and d' are joined by the same relation, once if they are unrelated. The pairs
(h', d) and (h, d') are always unrelated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    own = values[..., heads, dependents]  # (..., pair)
    of_heads, of_dependents = values[..., :, dependents], values[..., heads, :]
    exchanged_head = (share.sum(axis=2).T * of_heads).sum(axis=-2)
    exchanged_dependent = (share.sum(axis=1) * of_dependents).sum(axis=-1)
    flat = values.reshape(*values.shape[:-2], -1)
    opposite = flat @ share.reshape(len(share), flat.shape[-1]).T
    contrast = own + opposite - exchanged_head - exchanged_dependent
    two_sided = np.where(n, contrast / np.where(has_twin, 2, 1), np.nan)
    one_sided = _one_sided(own, of_heads, of_dependents, other_heads, other_dependents)
    return PairContrasts(two_sided, one_sided)


def _one_sided(
    own: np.ndarray,
    of_heads: np.ndarray,
    of_dependents: np.ndarray,
    other_heads: np.ndarray,
    other_dependents: np.ndarray,
) -> np.ndarray:
    """Return the mean of both one-sided contrasts, or the one that there is. *Shape:* ``(..., pair)``."""
    n_heads, n_dependents = other_heads.sum(axis=1), other_dependents.sum(axis=1)
    by_head = (other_heads.T * of_heads).sum(axis=-2)
    by_dependent = (other_dependents * of_dependents).sum(axis=-1)
    exchanged = by_head / np.maximum(n_heads, 1) + by_dependent / np.maximum(n_dependents, 1)
    sides = (n_heads > 0).astype(float) + (n_dependents > 0)  # a side without words adds 0
    return np.where(sides > 0, own - exchanged / np.maximum(sides, 1), np.nan)
