"""Whether the word that is attended to most, or attends most, is a word's head.

An edge between a dependent and its head is read in two directions. *Dependent to head*: the dependent is the query,
and of all words that it may attend to, the head has the most of its attention. *Head to dependent*: the dependent is
the key, and of all words that may attend to it, the head attends to it most. Under a causal mask, an edge can be read
in one of them only: the first if the head precedes the dependent, the second if it follows. Edges that the mask
forbids, or with a single candidate, are not counted, whatever predicts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from daam_syntax.studies.where_is_syntax.trees import WordTree

DIRECTIONS: Final = ("dependent to head", "head to dependent")
_SINK: Final = 0.5
"""A word with more than this share of what the other words give to words, on average, is a sink."""
NO_WORD: Final = -2


@dataclass(frozen=True, eq=False)
class PromptAttention:
    """The attention between the words of a tree, and the heads that it predicts.

    Attributes
    ----------
    tree
        The tree.
    values
        *Shape:* ``(layer, head, query word, key word)``
    causal
        Whether words attend to earlier ones alone.
    """

    tree: WordTree
    values: NDArray[np.float64]
    causal: bool

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether a query may attend to a key, which is another word. *Shape:* ``(query, key)``."""
        n = len(self.tree.words)
        return np.tri(n, k=-1, dtype=bool) if self.causal else ~np.eye(n, dtype=bool)

    @cached_property
    def sinks(self) -> NDArray[np.bool_]:
        """Whether a word takes more than half of what other words give to words, *shape* ``(layer, head, word)``."""
        has_choice = self.allowed.sum(axis=1) > 1
        if not has_choice.any():
            return np.zeros((*self.values.shape[:2], len(self.tree.words)), dtype=bool)
        given = np.where(self.allowed, self.values, 0)[..., has_choice, :]
        total = given.sum(axis=-1, keepdims=True)
        shares = np.divide(given, total, out=np.zeros_like(given), where=total > 0)
        could = self.allowed[has_choice].sum(axis=0)
        return np.asarray(shares.sum(axis=-2) / np.maximum(could, 1) > _SINK)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Place of the word that each word is attached to; `NO_WORD` if there is none but sinks.

        *Shape:* ``(direction, layer, head, dependent)``
        """
        open_keys = self.allowed & ~self.sinks[..., None, :]
        from_dependent = np.where(open_keys, self.values, -1.0)
        from_heads = from_dependent.swapaxes(-1, -2)
        best = [
            np.where(scores.max(axis=-1) < 0, NO_WORD, scores.argmax(axis=-1))
            for scores in (from_dependent, from_heads)
        ]
        return np.stack(best)

    def counted(self, heads: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which words have a head that could be predicted, in each direction.

        Parameters
        ----------
        heads
            Place of the head of each word; -1 for none. *Shape:* ``(..., word)``

        Returns
        -------
        numpy.ndarray
            *Shape:* ``(direction, ..., word)``
        """
        places, has_head = np.arange(heads.shape[-1]), heads >= 0
        found = []
        for allowed in (self.allowed, self.allowed.T):
            choice = allowed.sum(axis=1) > 1
            found.append(has_head & choice & allowed[places, np.maximum(heads, 0)])
        return np.stack(found)


def hits_and_counts(
    prompts: Sequence[PromptAttention], heads: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the edges that each layer and head finds.

    Parameters
    ----------
    prompts
        Attention to the words of each prompt.
    heads
        The heads to find in each prompt: those of the tree, or permuted ones.

    Returns
    -------
    numpy.ndarray
        Number of edges found. *Shape:* ``(prompt, direction, layer, head)``
    numpy.ndarray
        Number of edges counted. *Shape:* ``(prompt, direction)``
    """
    hits, counts = [], []
    for prompt, wanted in zip(prompts, heads, strict=True):
        counted = prompt.counted(wanted)
        right = (prompt.predicted == wanted) & counted[:, None, None, :]
        hits.append(right.sum(axis=-1))
        counts.append(counted.sum(axis=-1))
    return np.array(hits, dtype=float), np.array(counts, dtype=float)


def offset_hits(
    prompts: Sequence[PromptAttention], heads: Sequence[NDArray[np.int64]], offset: int
) -> NDArray[np.float64]:
    """Count the edges that "the word at this distance" finds, *shape* ``(prompt, direction)``."""
    found = []
    for prompt, wanted in zip(prompts, heads, strict=True):
        guess = np.arange(len(wanted)) + offset
        found.append(((guess == wanted) & prompt.counted(wanted)).sum(axis=-1))
    return np.array(found, dtype=float)


def spanning_tree(prompt: PromptAttention, chosen: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return which pairs of words are edges of the maximum spanning tree over some layers and heads.

    The weight of two words is the larger share that one gives the other, of what it gives to words that are no sinks,
    averaged over the layers and heads.

    Parameters
    ----------
    prompt
        The attention.
    chosen
        Layers and heads.

    Returns
    -------
    numpy.ndarray
        Symmetric. *Shape:* ``(word, word)``
    """
    n = len(prompt.tree.words)
    weights = np.zeros((n, n))
    for layer, head in chosen:
        given = np.where(prompt.allowed & ~prompt.sinks[layer, head], prompt.values[layer, head], 0)
        total = given.sum(axis=-1, keepdims=True)
        shares = np.divide(given, total, out=np.zeros_like(given), where=total > 0)
        weights += np.maximum(shares, shares.T)
    graph = nx.Graph()
    graph.add_weighted_edges_from((i, j, weights[i, j]) for i in range(n) for j in range(i))
    found = np.zeros((n, n), dtype=bool)
    for one, other in nx.maximum_spanning_edges(graph, data=False):
        found[one, other] = found[other, one] = True
    return found


def share_in(tree: NDArray[np.bool_], heads: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of edges that are in a tree, whatever their direction.

    Parameters
    ----------
    tree
        *Shape:* ``(word, word)``
    heads
        Place of the head of each word; -1 for none. *Shape:* ``(..., word)``

    Returns
    -------
    numpy.ndarray
        NaN without edges. *Shape:* ``(...)``
    """
    has_head = heads >= 0
    found = tree[np.arange(len(tree)), np.maximum(heads, 0)] & has_head
    n = has_head.sum(axis=-1)
    return np.divide(found.sum(axis=-1), n, out=np.full(n.shape, np.nan), where=n > 0)
