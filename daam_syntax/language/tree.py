"""A mutable dependency tree, which conversion rules rewrite."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence

from daam_syntax.language.sentence import Edge, Token


class Tree:
    """A dependency tree under conversion.

    White space tokens are not part of the tree; their dependents attach to their heads.

    Parameters
    ----------
    tokens
        All tokens of the sentence.
    edges
        Its edges, at most one to each token. A token without one is a root.

    Attributes
    ----------
    tokens
        All tokens, including white space.
    heads
        Maps each token index to the index of its head, None for a root. White space has no entry. `attach` changes it.
    relations
        Maps each token index to the label of its incoming edge, "root" for a root.

    Raises
    ------
    ValueError
        If a token has two heads, or is its own ancestor.
    """

    def __init__(self, tokens: Sequence[Token], edges: Iterable[Edge]) -> None:
        self.tokens = tuple(tokens)
        incoming: dict[int, Edge] = {}
        for edge in edges:
            if edge.dependent in incoming:
                raise ValueError(
                    f"Expected a tree, but {tokens[edge.dependent].text!r} ({edge.dependent}) has two heads."
                )
            incoming[edge.dependent] = edge
        blank = {t.index for t in self.tokens if not t.text.strip()}
        self.heads: dict[int, int | None] = {}
        self.relations: dict[int, str] = {}
        for token in self.tokens:
            if token.index in blank:
                continue
            edge_in = incoming.get(token.index)
            head = edge_in.head if edge_in else None
            seen = {token.index}
            while head in blank:
                seen.add(head)
                above = incoming.get(head)
                head = above.head if above and above.head not in seen else None
            self.heads[token.index] = head
            self.relations[token.index] = (
                edge_in.relation if edge_in and head is not None else "root"
            )
        self._children: dict[int | None, list[int]] = {}  # from left to right
        for word in self:
            self._children.setdefault(self.heads[word], []).append(word)
        self._check_acyclic()

    def _check_acyclic(self) -> None:
        checked: set[int] = set()
        for token in self.heads:
            seen = {token}
            above = self.heads[token]
            while above is not None and above not in checked:
                if above in seen:
                    raise ValueError(
                        f"Expected a tree, but {self.tokens[token].text!r} ({token}) is its own ancestor."
                    )
                seen.add(above)
                above = self.heads[above]
            checked |= seen

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of all words from left to right."""
        return iter(sorted(self.heads))

    def children(self, head: int, *relations: str) -> list[int]:
        """Return the dependents of a word from left to right, optionally only those with given relations."""
        words = self._children.get(head, [])
        return [i for i in words if not relations or self.relations[i] in relations]

    def below(self, top: int) -> list[int]:
        """Return a word and all its descendants from left to right."""
        found = [top]
        for word in found:
            found += self.children(word)
        return sorted(found)

    def bottom_up(self) -> list[int]:
        """Return all words with dependents before their heads."""
        order = [i for i in self if self.heads[i] is None]
        for word in order:
            order += self.children(word)
        return order[::-1]

    def attach(self, dependent: int, head: int | None, relation: str) -> None:
        """Set the head and the relation of a word."""
        self._children[self.heads[dependent]].remove(dependent)
        bisect.insort(self._children.setdefault(head, []), dependent)
        self.heads[dependent] = head
        self.relations[dependent] = relation

    def promote(self, word: int, over: int, relation: str) -> None:
        """Put a word in the place of its ancestor `over`, which becomes its dependent."""
        self.attach(word, self.heads[over], self.relations[over])
        self.attach(over, word, relation)

    def edges(self) -> tuple[Edge, ...]:
        """Return the edges in the order of their dependents."""
        return tuple(
            Edge(head, i, self.relations[i]) for i in self if (head := self.heads[i]) is not None
        )
