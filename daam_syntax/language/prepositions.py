"""Find the things that prepositions relate, including prepositions of several words ("to the left of").

Universal Dependencies has no edge between the two things of such a preposition. "left" is a noun, so "a cat to the
left of a dog" has the edges ``nmod:to(cat, left)`` and ``nmod:of(left, dog)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from daam_syntax.language.sentence import Edge, Sentence
from daam_syntax.language.ud.parser_repairs import DEPICTIONS
from daam_syntax.util.arguments.checks import checked

_SIDES: Final = (
    "back bottom center centre corner edge front inside left middle outside rear right side top"
)
SIDES: Final = frozenset(_SIDES.split())
"""Nouns that form one preposition with the words around them: "to the left of", "in front of", "on top of"."""

MODIFIERS: Final = frozenset({"adjacent", "away", "close", "far", "near", "opposite"})
"""Adjectives and adverbs that form one preposition with the preposition after them: "close to", "far from"."""

_THINGS: Final = frozenset({"NOUN", "PROPN", "PRON", "NUM", "X"})
_SUBJECTS: Final = ("nsubj", "nsubj:pass", "nsubj:xsubj", "nsubj:pass:xsubj", "nsubj:outer")


class RelatedThings(NamedTuple):
    """Two things that a preposition relates.

    Attributes
    ----------
    first
        Index of the thing that is somewhere.
    preposition
        The preposition as written, in lower case: ``"on"``, ``"next to"``, ``"to the left of"``.
    second
        Index of the thing that the first is related to.
    words
        Indices of the words of the preposition.
    """

    first: int
    preposition: str
    second: int
    words: tuple[int, ...]


@checked
def related_things(sentence: Sentence) -> list[RelatedThings]:
    """Join the things that simple and multiword prepositions relate.

    "a cat to the left of a dog", "the cat is to the left of the dog" and "a cat sitting to the left of a dog" relate
    the cat to the dog. The first thing of a preposition after a verb is the subject of the verb. Conjuncts are related
    one by one. Agents ("chased by a dog"), possessors, and sides without a thing ("on the left") are left out.

    Parameters
    ----------
    sentence
        A parse with the schemes ``ud`` and ``enhanced``.

    Returns
    -------
    list of RelatedThings
        In the order of the prepositions and things in the prompt.

    Raises
    ------
    ValueError
        If the sentence lacks one of the schemes.

    Examples
    --------
    >>> sentence = parse("a cat to the left of a dog")  # doctest: +SKIP
    >>> related_things(sentence)  # doctest: +SKIP
    [RelatedThings(first=1, preposition='to the left of', second=7, words=(2, 3, 4, 5))]
    """
    found = set(_Reader(sentence).pairs())
    return sorted(found, key=lambda pair: (pair.words, pair.second, pair.first))


class _Reader:
    """A parse, with its edges by head and by dependent."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        self.basic = {edge.dependent: edge for edge in sentence.edges_of("ud")}
        self.graph = sentence.edges_of("enhanced")

    def pairs(self) -> Iterator[RelatedThings]:
        for edge in self._prepositional_edges():
            words = self._case_words(edge.dependent)
            modifiers = [edge.head, *self._children(edge.dependent, "advmod")]
            before = [i for i in modifiers if i == words[0] - 1 and self._text(i) in MODIFIERS]
            yield from self._join(self._things(edge.head), (*before, *words), edge.dependent)
        for word in range(len(self.sentence)):
            if self._children(word, "cop") and self._children(
                word, "case"
            ):  # "the cat is on the bed"
                subjects = [e.dependent for e in self.graph if e.head == word and _is_subject(e)]
                yield from self._join(subjects, self._case_words(word), word)

    def _prepositional_edges(self) -> Iterator[Edge]:
        for edge in self.graph:
            kind = edge.relation.split(":")[0]
            named = edge.relation in ("nmod:poss", "nmod:desc", "obl:agent", "nmod:unmarked")
            if kind in ("nmod", "obl") and not named and self._case_words(edge.dependent):
                yield edge

    def _join(
        self, firsts: list[int], words: tuple[int, ...], second: int
    ) -> Iterator[RelatedThings]:
        """Relate things to the second thing, or to those after "of" if the second is a side."""
        ends = [(words, second)]
        if self._is_side(second):
            ends = [
                (tuple(range(words[0], self._case_words(end)[-1] + 1)), end)
                for end in self._objects_of(second)
            ]
            firsts = [depicted for first in firsts for depicted in self._depicted(first)]
        for all_words, end in ends:
            if not all_words:
                continue  # "of" before the side, in an unusual tree
            text = " ".join(self._text(i) for i in all_words)
            for first in firsts:
                if first != end and self._is_thing(first) and self._is_thing(end):
                    yield RelatedThings(first, text, end, all_words)

    def _depicted(self, word: int) -> list[int]:
        """Return what an image shows: in "a photo of a cat to the left of a dog" the photo is not to the left of it."""
        is_depiction = self.sentence[word].lemma.lower() in DEPICTIONS
        return (self._objects_of(word) if is_depiction else []) or [word]

    def _things(self, head: int) -> list[int]:
        """Return the things that a prepositional phrase below a word says something of."""
        seen: set[int] = set()
        level, found = [head], []
        while level:
            word = level.pop(0)
            if word in seen:
                continue
            seen.add(word)
            subjects = [e.dependent for e in self.graph if e.head == word and _is_subject(e)]
            if self._is_side(word):
                continue  # part of a multiword preposition
            if self._is_thing(word):
                found.append(word)
            elif subjects:
                found += subjects
            else:  # "a cat sitting on a bed", "a cat close to a dog", "smiles, sitting on a bed"
                above = ("acl", "amod", "advcl", "xcomp")
                level += [
                    e.head
                    for e in self.graph
                    if e.dependent == word and e.relation.split(":")[0] in above
                ]
        return list(dict.fromkeys(found))

    def _case_words(self, word: int) -> tuple[int, ...]:
        """Return the words of the prepositions of a noun, or those of its first conjunct."""
        cases = [i for i in self._children(word, "case") if self.sentence[i].tag != "POS"]
        if not cases:
            edge = self.basic.get(word)
            return self._case_words(edge.head) if edge and edge.relation == "conj" else ()
        parts = [j for i in cases for j in (i, *self._children(i, "fixed"))]
        return tuple(sorted(parts))

    def _children(self, head: int, relation: str) -> list[int]:
        return [i for i, e in self.basic.items() if e.head == head and e.relation == relation]

    def _objects_of(self, noun: int) -> list[int]:
        of = [e.dependent for e in self.graph if e.head == noun and e.relation == "nmod:of"]
        return [i for i in of if self._case_words(i)]

    def _is_side(self, word: int) -> bool:
        """Whether a noun is a side of something ("the left", "top of the bed") rather than a thing ("a red top")."""
        lemma = self.sentence[word].lemma.lower()
        if lemma in ("corner", "edge") and not self._objects_of(word):
            return False  # places of their own: "in the corner"
        articles = {self._text(i) for i in self._children(word, "det")}
        return lemma in SIDES and articles <= {"the"}

    def _text(self, word: int) -> str:
        return self.sentence[word].text.lower()

    def _is_thing(self, word: int) -> bool:
        return self.sentence[word].pos in _THINGS


def _is_subject(edge: Edge) -> bool:
    return edge.relation in _SUBJECTS
