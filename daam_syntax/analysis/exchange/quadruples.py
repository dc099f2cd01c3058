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
    """Contrasts of the pairs of words of one sentence.

    Attributes
    ----------
    two_sided
        Each pair against pairs in which either word is exchanged. *Shape:* ``(..., head, dependent)``. NaN where no
        four words allow it.
    one_sided
        Each pair against pairs in which one word is exchanged: effects of the other word cancel, effects of the
        exchanged one do not. *Shape:* ``(..., head, dependent)``. NaN where no word has the part of speech.
    """

    two_sided: np.ndarray
    one_sided: np.ndarray


def exchange(
    values: np.ndarray, targets: np.ndarray, unrelated: np.ndarray, alike: np.ndarray
) -> PairContrasts:
    """Compare every target pair with its exchanged pairs.

    Parameters
    ----------
    values
        Overlap and covariates of ordered pairs of words; anything where they are missing. *Shape:* ``(..., head,
        dependent)``.
    targets
        The pairs joined by one relation, or the unrelated pairs themselves. *Shape:* ``(head, dependent)``, boolean.
    unrelated
        Pairs that are unrelated and measured. *Shape:* ``(head, dependent)``, boolean.
    alike
        Pairs of words of one part of speech; a word is not like itself. *Shape:* ``(word, word)``, boolean.

    Returns
    -------
    PairContrasts
        Contrasts of the targets; NaN elsewhere.
    """
    values = np.where(targets | unrelated, values, 0.0)
    two_sided = np.full(values.shape, np.nan)
    one_sided = np.full(values.shape, np.nan)
    heads, dependents = np.nonzero(targets)
    if not len(heads):
        return PairContrasts(two_sided, one_sided)
    # Axes: target, h', d'. Cells (h', d) and (h, d') must be unrelated.
    other_heads = alike[heads] & unrelated[:, dependents].T  # (target, h')
    other_dependents = alike[dependents] & unrelated[heads]  # (target, d')
    both = other_heads[:, :, None] & other_dependents[:, None, :]
    both &= ~np.eye(len(alike), dtype=bool)
    twins = both & (targets & ~unrelated)
    plain = both & unrelated
    has_twin = twins.any(axis=(1, 2))
    chosen = np.where(has_twin[:, None, None], twins, plain)
    n = chosen.sum(axis=(1, 2))
    share = chosen / np.maximum(n, 1)[:, None, None]
    own = values[..., heads, dependents]  # (..., target)
    exchanged_head = np.einsum("ta,...at->...t", share.sum(axis=2), values[..., :, dependents])
    exchanged_dependent = np.einsum("tb,...tb->...t", share.sum(axis=1), values[..., heads, :])
    opposite = np.einsum("tab,...ab->...t", share, values)
    contrast = own + opposite - exchanged_head - exchanged_dependent
    two_sided[..., heads, dependents] = np.where(n, contrast / np.where(has_twin, 2, 1), np.nan)
    one_sided[..., heads, dependents] = _one_sided(
        own, values, heads, dependents, other_heads, other_dependents
    )
    return PairContrasts(two_sided, one_sided)


def _one_sided(
    own: np.ndarray,
    values: np.ndarray,
    heads: np.ndarray,
    dependents: np.ndarray,
    other_heads: np.ndarray,
    other_dependents: np.ndarray,
) -> np.ndarray:
    """Return the mean of both one-sided contrasts, or the one that there is. *Shape:* ``(..., target)``."""
    n_heads, n_dependents = other_heads.sum(axis=1), other_dependents.sum(axis=1)
    by_head = np.einsum("ta,...at->...t", other_heads.astype(float), values[..., :, dependents])
    by_dependent = np.einsum(
        "tb,...tb->...t", other_dependents.astype(float), values[..., heads, :]
    )
    exchanged = by_head / np.maximum(n_heads, 1) + by_dependent / np.maximum(n_dependents, 1)
    sides = (n_heads > 0).astype(float) + (n_dependents > 0)  # a side without words adds 0
    return np.where(sides > 0, own - exchanged / np.maximum(sides, 1), np.nan)
