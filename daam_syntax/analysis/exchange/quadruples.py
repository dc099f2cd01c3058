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

_CELLS_AT_ONCE: Final = 2**21
"""Size of the largest arrays, in numbers: 16 MB."""


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
    relations: np.ndarray,
    joined: np.ndarray,
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
    relations
        Relation of each pair, as a place in `joined`; -1 if it is unrelated. *Shape:* ``(pair,)``.
    joined
        The pairs that each relation joins; none in the last place. *Shape:* ``(relation, head, dependent)``, boolean.
    unrelated
        Pairs that are unrelated and measured. *Shape:* ``(head, dependent)``, boolean.
    alike
        Pairs of words of one part of speech; a word is not like itself. *Shape:* ``(word, word)``, boolean.
    """
    words = _Words(values, joined, unrelated, alike)
    if len(heads) * joined[0].size <= _CELLS_AT_ONCE:
        return _by_cells(words, heads, dependents, relations)
    # Memory must not grow with the number of pairs times the square of the number of words. Only related pairs, of
    # which there are as many as words, have twins among single cells.
    found = np.full((2, *values.shape[:-2], len(heads)), np.nan)
    n_channels = max(1, values[..., 0, 0].size)
    for is_related, size in ((True, joined[0].size), (False, n_channels * len(alike))):
        rows = np.flatnonzero((relations >= 0) == is_related)
        n_at_once = max(1, _CELLS_AT_ONCE // size)
        for start in range(0, len(rows), n_at_once):
            part = rows[start : start + n_at_once]
            own = heads[part], dependents[part]
            some = _by_cells(words, *own, relations[part]) if is_related else _by_words(words, *own)
            found[..., part] = some.two_sided, some.one_sided
    return PairContrasts(*found)


@dataclass(frozen=True)
class _Words:
    """The arguments of `exchange` that all pairs share."""

    values: np.ndarray
    joined: np.ndarray
    unrelated: np.ndarray
    alike: np.ndarray

    def others(self, heads: np.ndarray, dependents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the words that can replace each head, and each dependent. *Shape:* ``(pair, word)`` each, boolean."""
        # Cells (h', d) and (h, d') must be unrelated.
        return (
            self.alike[heads] & self.unrelated[:, dependents].T,
            self.alike[dependents] & self.unrelated[heads],
        )

    def settled(self, contrasts: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return contrasts without what only rounding leaves, which a test would call an effect if it is biased."""
        least = _ROUNDING * np.abs(self.values).max(axis=(-2, -1), initial=0.0)[..., None]
        return np.where(known, np.where(np.abs(contrasts) <= least, 0.0, contrasts), np.nan)


def _by_cells(
    words: _Words, heads: np.ndarray, dependents: np.ndarray, relations: np.ndarray
) -> PairContrasts:
    """Compare pairs as sums of cells with weights, which are the same in all images: fast for few words."""
    # Axes: pair, h', d'.
    other_heads, other_dependents = words.others(heads, dependents)
    both = other_heads[:, :, None] & other_dependents[:, None, :]
    both &= ~np.eye(len(words.alike), dtype=bool)
    twins = both & words.joined[relations] & ~words.unrelated
    has_twin = np.asarray(twins.any(axis=(1, 2)))
    chosen = np.where(has_twin[:, None, None], twins, both & words.unrelated)
    n = chosen.sum(axis=(1, 2))
    share = chosen / np.maximum(n, 1)[:, None, None]
    pair = np.arange(len(heads))
    two_sided = share.copy()
    two_sided[pair, :, dependents] -= share.sum(axis=2)
    two_sided[pair, heads, :] -= share.sum(axis=1)
    two_sided[pair, heads, dependents] += 1
    two_sided /= np.where(has_twin, 2, 1)[:, None, None]
    of_heads, of_dependents = _one_sided(other_heads, other_dependents)
    one_sided = np.zeros_like(two_sided)
    one_sided[pair, :, dependents] -= of_heads
    one_sided[pair, heads, :] -= of_dependents
    one_sided[pair, heads, dependents] += 1
    flat = words.values.reshape(*words.values.shape[:-2], -1)
    has_others = np.logical_or(other_heads.any(axis=1), other_dependents.any(axis=1))
    return PairContrasts(
        words.settled(flat @ two_sided.reshape(len(pair), -1).T, n > 0),
        words.settled(flat @ one_sided.reshape(len(pair), -1).T, has_others),
    )


def _by_words(words: _Words, heads: np.ndarray, dependents: np.ndarray) -> PairContrasts:
    """Compare unrelated pairs, which have no twins, in arrays over pairs and words."""
    other_heads, other_dependents = words.others(heads, dependents)
    free = (words.unrelated & ~np.eye(len(words.alike), dtype=bool)).astype(float)
    as_head, as_dependent = other_heads.astype(float), other_dependents.astype(float)
    n_by_dependent = as_head @ free  # (pair, d')
    n_by_head = as_dependent @ free.T  # (pair, h')
    n = (n_by_dependent * as_dependent).sum(axis=-1)
    divisor = np.maximum(n, 1)
    own = words.values[..., heads, dependents]  # (..., pair)
    of_heads = np.swapaxes(words.values[..., :, dependents], -1, -2)  # (..., pair, h')
    of_dependents = words.values[..., heads, :]  # (..., pair, d')
    opposite = ((as_head @ (words.values * free)) * as_dependent).sum(axis=-1) / divisor
    exchanged = (n_by_head * as_head * of_heads).sum(axis=-1)
    exchanged += (n_by_dependent * as_dependent * of_dependents).sum(axis=-1)
    head_weights, dependent_weights = _one_sided(other_heads, other_dependents)
    one_sided = own - (head_weights * of_heads).sum(axis=-1)
    one_sided -= (dependent_weights * of_dependents).sum(axis=-1)
    has_others = np.logical_or(other_heads.any(axis=1), other_dependents.any(axis=1))
    return PairContrasts(
        words.settled(own + opposite - exchanged / divisor, n > 0),
        words.settled(one_sided, has_others),
    )


def _one_sided(
    other_heads: np.ndarray, other_dependents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the words in the mean of both one-sided contrasts, or in the one that there is.

    *Shape:* ``(pair, word)`` each.
    """
    numbers = [others.sum(axis=1, keepdims=True) for others in (other_heads, other_dependents)]
    sides = np.maximum((numbers[0] > 0).astype(int) + (numbers[1] > 0), 1)
    return (
        other_heads / (sides * np.maximum(numbers[0], 1)),
        other_dependents / (sides * np.maximum(numbers[1], 1)),
    )
