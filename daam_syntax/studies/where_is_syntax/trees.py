"""Trees over the words that attention has, trees permuted at the same edge lengths, and prompts in another order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from daam_syntax.language import Edge, Sentence, Token

SCHEME: Final = "ud"
_PROPOSALS_PER_WORD: Final = 10


@dataclass(frozen=True)
class WordTree:
    """The dependency tree over the words of a prompt that are compared: those with subwords, without punctuation.

    Attributes
    ----------
    sentence
        The parse.
    words
        Indices of the words in the parse, in order.
    heads
        For each word, the place of its head among `words`; -1 if it has none there. *Shape:* ``(word,)``
    labels
        For each word, the label of the edge to its head; "" if it has none.
    """

    sentence: Sentence
    words: tuple[int, ...]
    heads: NDArray[np.int64]
    labels: tuple[str, ...]


def tree_of(sentence: Sentence, mapped: Collection[int]) -> WordTree:
    """Return the tree over the mapped words of a parse."""
    words = tuple(
        token.index
        for token in sentence.tokens
        if token.index in mapped and token.pos != "PUNCT" and token.text.strip()
    )
    place = {word: number for number, word in enumerate(words)}
    heads, labels = np.full(len(words), -1), [""] * len(words)
    for edge in sentence.edges_of(SCHEME):
        if edge.head in place and edge.dependent in place:
            heads[place[edge.dependent]] = place[edge.head]
            labels[place[edge.dependent]] = edge.relation
    return WordTree(sentence, words, heads, tuple(labels))


def permuted_heads(
    heads: NDArray[np.int64], generator: np.random.Generator, size: int
) -> NDArray[np.int64]:
    """Return heads at random that have the same edge lengths, with their directions.

    Two words exchange the lengths of their edges, if both heads then lie in the prompt; this is repeated 10 times for
    each word. Proposals are symmetric, so all arrangements that can be reached are equally likely in the end, also the
    given one. The result need not be a tree.

    Parameters
    ----------
    heads
        Place of the head of each word; -1 for none. *Shape:* ``(word,)``
    generator
        Random numbers.
    size
        Number of arrangements.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(size, word)``
    """
    n, rows = len(heads), np.arange(size)
    places = np.arange(n)
    lengths = np.tile(np.where(heads < 0, 0, heads - places), (size, 1))  # 0: no edge
    for _ in range(_PROPOSALS_PER_WORD * n):
        one, other = generator.integers(n, size=(2, size))
        first, second = lengths[rows, one], lengths[rows, other]
        ends = np.stack([one + second, other + first])
        fits = (ends >= 0).all(axis=0) & (ends < n).all(axis=0)
        lengths[rows[fits], one[fits]] = second[fits]
        lengths[rows[fits], other[fits]] = first[fits]
    return np.where(lengths == 0, -1, places + lengths)


def shuffled(sentence: Sentence, generator: np.random.Generator) -> Sentence:
    """Return a parse of the same words in random order, without punctuation, with the same edges between them."""
    kept = [t for t in sentence.tokens if t.pos != "PUNCT" and t.text.strip()]
    order = generator.permutation(len(kept))
    tokens, start, place = [], 0, {}
    for number, chosen in enumerate(order):
        old = kept[chosen]
        place[old.index] = number
        end = start + len(old.text)
        tokens.append(Token(number, old.text, old.lemma, old.pos, old.tag, start, end))
        start = end + 1
    edges = tuple(
        Edge(place[edge.head], place[edge.dependent], edge.relation)
        for edge in sentence.edges_of(SCHEME)
        if edge.head in place and edge.dependent in place
    )
    text = " ".join(token.text for token in tokens)
    return Sentence(text, tuple(tokens), {SCHEME: edges}, (), f"{sentence.parser}, shuffled")
