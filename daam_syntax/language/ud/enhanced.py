"""Convert a basic tree of Universal Dependencies to its enhanced graph.

The enhancements are those of https://universaldependencies.org/u/overview/enhanced-syntax.html, except the empty nodes
of ellipsis. Each is applied where the basic tree determines it:

- Labels include the marker of a dependent: `nmod:of`, `obl:next_to`, `advcl:while`, `acl:to`, `conj:and`.
- A conjunct also gets the head of the first conjunct, and the dependents of the whole coordination.
- In a relative clause the antecedent takes the place of its pronoun, which becomes its `ref`. Without a pronoun ("the
  thing we like") it takes the place that is free.
- The controlled or raised subject of an open complement becomes its `nsubj:xsubj`.

The result is a graph: a word may have several heads, two words may have several edges, and there may be cycles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from daam_syntax.language.sentence import Edge, Token
from daam_syntax.language.tree import Tree

_MARKED: Final = ("nmod", "obl", "acl", "advcl")
_MOST_EDGES: Final = 100_000
"""No sentence has so many; they take seconds."""

_SUBJECTS: Final = (
    "nsubj",
    "nsubj:pass",
    "nsubj:outer",
    "csubj",
    "csubj:pass",
    "csubj:outer",
    "expl",
)
_CLAUSES: Final = ("acl", "acl:relcl", "advcl", "ccomp", "csubj", "parataxis")
_OF_A_WHOLE_COORDINATION: Final = frozenset(
    {
        "obj",
        "iobj",
        "obl",
        "nmod",
        "acl",
        "advcl",
        "advmod",
        "amod",
        "nummod",
        "xcomp",
        "ccomp",
        "case",
        "compound",
    }
)
_RELATIVE_PRONOUNS: Final = frozenset({"that", "which", "who", "whom", "whose"})
_ADJUNCT_NOUNS: Final = frozenset(
    {"time", "day", "year", "month", "week", "night", "moment", "minute", "way", "place", "reason"}
)
_RELATIVE_ADVERBS: Final = frozenset({"where", "when", "why"})
_SUBJECT_CONTROL: Final = frozenset({"promise"})


def to_enhanced(
    tokens: Sequence[Token], edges: Iterable[Edge]
) -> tuple[tuple[Edge, ...], tuple[int, ...]]:
    """Enhance a basic tree of Universal Dependencies.

    Parameters
    ----------
    tokens
        All tokens of the sentence, with lemmas.
    edges
        Its basic edges, at most one to each token. Relative pronouns and exceptions to object control are those of
        English; all other rules hold for any language.

    Returns
    -------
    edges
        The edges of the graph, in the order of dependents and heads.
    roots
        Indices of the roots of the tree; in the graph some of them may have a head.

    Raises
    ------
    ValueError
        If the edges do not form a tree.
    """
    tree = Tree(tokens, edges)
    graph = _Graph(tree)
    graph.label_basic_edges()
    graph.share_heads()
    graph.share_dependents()
    graph.resolve_relative_clauses()
    graph.add_controlled_subjects()
    found = sorted(graph.edges, key=lambda e: (e.dependent, e.head, e.relation))
    return tuple(found), tuple(i for i in tree if tree.heads[i] is None)


class _Graph:
    """The graph under construction. Its edges are unique and ordered by insertion."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.edges: dict[Edge, None] = {}
        self._from: dict[int, dict[Edge, None]] = {}  # by head
        self._conjunctions: dict[int, dict[int, str]] = {}  # of conjuncts, by the first one

    def add(self, head: int, dependent: int, relation: str) -> None:
        if head == dependent:
            return
        if len(self.edges) == _MOST_EDGES:
            raise ValueError(
                f"Expected an enhanced graph of at most {_MOST_EDGES:,} edges, but a sentence of "
                f"{len(self.tree.tokens):,} tokens has more, because conjuncts share their dependents: divide it"
            )
        edge = Edge(head, dependent, relation)
        self.edges[edge] = None
        self._from.setdefault(head, {})[edge] = None

    def remove(self, edge: Edge) -> None:
        del self.edges[edge]
        del self._from[edge.head][edge]

    def edges_from(self, head: int) -> list[Edge]:
        """Return the edges from a word, in the order in which they were added."""
        return list(self._from.get(head, ()))

    def dependents(self, head: int, *relations: str) -> list[int]:
        """Return the dependents of a word with one of these relations, with any subtype."""
        return [
            e.dependent
            for e in self.edges_from(head)
            if any(e.relation == r or e.relation.startswith(f"{r}:") for r in relations)
        ]

    def label_basic_edges(self) -> None:
        """Add the basic edges, with markers in their labels."""
        for edge in self.tree.edges():
            for label in self._labels(edge.relation, edge.dependent):
                self.add(edge.head, edge.dependent, label)

    def _labels(self, relation: str, word: int) -> list[str]:
        """Return a relation with the lemma of its case, mark or conjunction: two labels for "in and under the box"."""
        if relation == "conj":
            lemma = self._conjunction(word)
            return [f"conj:{lemma}" if lemma else "conj"]
        if relation not in _MARKED:
            return [relation]
        first = self.tree.heads[word] if self.tree.relations[word] == "conj" else None
        markers = self._markers(relation, word)
        if not markers and first is not None:  # "on the bed and the chair"
            markers = self._markers(relation, first)
        return [f"{relation}:{marker}" for marker in markers] or [relation]

    def _markers(self, relation: str, word: int) -> list[str]:
        wanted = ("mark", "case") if relation in ("acl", "advcl") else ("case",)
        heads = self.tree.children(word, *wanted)
        if relation == "advcl" and not heads:  # "when it rains"
            heads = [i for i in self.tree.children(word, "advmod") if self._is_when(i)]
        lemmas = [lemma for head in heads if (lemma := self._lemma(head))]
        if not lemmas:
            return []
        conjoined = [self._lemma(i) for head in heads for i in self.tree.children(head, "conj")]
        return ["_".join(lemmas), *filter(None, conjoined)]

    def _is_when(self, word: int) -> bool:
        return self.tree.tokens[word].text.lower() == "when"

    def _lemma(self, word: int) -> str:
        """Return the lemma of a function word or fixed expression; "" for a symbol."""
        parts = [word, *self.tree.children(word, "fixed")]
        tokens = [self.tree.tokens[i] for i in parts]
        if len(tokens) == 1:
            token = tokens[0]
            participle = token.text.lower().endswith("ing")  # "including", not "include"
            lemma = token.text if participle else (token.lemma or token.text)
            lemma = "and" if token.text == "&" else lemma
        else:
            lemma = "_".join(token.text for token in tokens)  # "according to", not "accord to"
        return lemma.lower() if lemma.replace("_", "").isalpha() else ""

    def _conjunction(self, conjunct: int) -> str:
        """Return the conjunction of a conjunct, or the next one in the list: "a cat, a dog and an owl"."""
        first = self.tree.heads[conjunct]
        assert first is not None
        if first not in self._conjunctions:
            lemma, found = "", {}
            for word in reversed(self.tree.children(first, "conj")):
                own = self.tree.children(word, "cc")
                found[word] = lemma = self._lemma(own[0]) if own else lemma
            self._conjunctions[first] = found
        return self._conjunctions[first][conjunct]

    def share_heads(self) -> None:
        """Give each conjunct the head of the first conjunct."""
        for first, conjuncts in self._coordinations():
            head, relation = self.tree.heads[first], self.tree.relations[first]
            if head is None or relation in ("conj", "parataxis"):
                continue
            for conjunct in conjuncts:
                for label in self._labels(relation, conjunct):
                    self.add(head, conjunct, label)

    def share_dependents(self) -> None:
        """Give every conjunct the dependents of the whole coordination.

        A dependent of the first conjunct that follows the last one modifies all of them: the basic tree cannot express
        this in another way. A dependent that precedes the coordination may modify only the first conjunct ("old men
        and women"), so it is not shared. The exception is a subject, which a predicate without its own subject shares.
        """
        for first, conjuncts in self._coordinations():
            own = self.edges_from(first)
            subjects = [e for e in own if e.relation in _SUBJECTS]
            end = self.tree.below(conjuncts[-1])[-1]
            after = [
                e
                for e in own
                if e.dependent > end and e.relation.split(":")[0] in _OF_A_WHOLE_COORDINATION
            ]
            for conjunct in conjuncts:
                if not self.dependents(conjunct, *_SUBJECTS) and self._can_share_subject(conjunct):
                    for edge in subjects:
                        self.add(conjunct, edge.dependent, self._voice(edge, conjunct))
                for edge in after:
                    taken = edge.relation == "obj" and self.dependents(conjunct, "obj")
                    if not taken:
                        self.add(conjunct, edge.dependent, edge.relation)

    def _coordinations(self) -> Iterator[tuple[int, list[int]]]:
        for first in self.tree:
            conjuncts = [i for i in self.tree.children(first, "conj") if i > first]
            if conjuncts:
                yield first, conjuncts

    def _can_share_subject(self, conjunct: int) -> bool:
        """Whether a conjunct is a bare predicate rather than a clause with its own mark."""
        return not self.tree.children(conjunct, "mark")

    def _voice(self, subject: Edge, predicate: int) -> str:
        """Return the relation of a shared subject to a predicate, which may differ in voice from the first conjunct."""
        helpers = self.tree.children(predicate, "aux", "aux:pass", "cop")
        same_form = self.tree.tokens[predicate].tag == self.tree.tokens[subject.head].tag
        if subject.relation == "expl" or (same_form and not helpers):  # "is chased and eaten"
            return subject.relation
        kind = subject.relation.split(":")[0]
        return f"{kind}:pass" if self.tree.children(predicate, "aux:pass") else kind

    def resolve_relative_clauses(self) -> None:
        """Replace each relative pronoun by its antecedent, and make the pronoun a `ref` of it."""
        for noun, verb in [(e.head, e.dependent) for e in self.edges if e.relation == "acl:relcl"]:
            pronoun = self._relative_word(verb)
            if pronoun is None:
                self._resolve_bare_clause(noun, verb)
                continue
            for edge in [e for e in self.edges if e.dependent == pronoun and e.relation != "ref"]:
                adverb = edge.relation == "advmod"  # "the house where he lives": nouns are `obl`
                self.add(edge.head, noun, "obl" if adverb else edge.relation)
        for edge in [e for e in self.edges if e.relation == "acl:relcl"]:
            pronoun = self._relative_word(edge.dependent)
            if pronoun is not None and pronoun != edge.head:
                for old in [
                    e for e in self.edges if e.dependent == pronoun and e.relation != "ref"
                ]:
                    self.remove(old)
                self.add(edge.head, pronoun, "ref")

    def _relative_word(self, verb: int) -> int | None:
        """Return the relative pronoun or adverb of a relative clause."""
        inside = [verb]
        for word in inside:
            inside += [
                i for i in self.tree.children(word) if self.tree.relations[i] not in _CLAUSES
            ]
        for word in sorted(inside):
            token, relation = self.tree.tokens[word], self.tree.relations[word]
            if word >= verb:
                return None
            form = token.text.lower()
            pronoun = form in _RELATIVE_PRONOUNS and relation not in ("mark", "det")
            if pronoun or (form in _RELATIVE_ADVERBS and relation == "advmod"):
                return word
        return None

    def _resolve_bare_clause(self, noun: int, verb: int) -> None:
        """Give the antecedent its place in a relative clause without a pronoun.

        It is the object of a stranded preposition ("the boy she talked to"), an adjunct if it is a time, place, way, or
        reason ("the day we met"), or else the object of the verb ("the thing we like").
        """
        if any(noun < i < verb and self._is_subject(i) for i in self.tree.children(verb)):
            places = self._stranded(verb) or self._free_places(noun, verb)
            for head, relation in places:
                self.add(head, noun, relation)

    def _is_subject(self, word: int) -> bool:
        return self.tree.relations[word].split(":")[0] in ("nsubj", "csubj")

    def _stranded(self, verb: int) -> list[tuple[int, str]]:
        found = []
        for word in self.tree.children(verb, "obl"):
            if self.tree.tokens[word].pos == "ADP" and not self.tree.children(word, "case"):
                lemma = self._lemma(word)
                found.append((verb, f"obl:{lemma}" if lemma else "obl"))
        return found

    def _free_places(self, noun: int, verb: int) -> list[tuple[int, str]]:
        """Return the predicate of which the antecedent is an adjunct or object, if it is known."""
        if self.tree.tokens[noun].lemma.lower() in _ADJUNCT_NOUNS:
            return [(verb, "obl")]
        while True:
            if self.tree.children(verb, "obj", "ccomp", "cop", "aux:pass", "nsubj:pass"):
                return []
            complements = self.tree.children(verb, "xcomp")
            if not complements:
                return [(verb, "obj")] if self.tree.tokens[verb].pos == "VERB" else []
            verb = complements[-1]

    def add_controlled_subjects(self) -> None:
        """Give an open complement its subject: the object of the governing verb, or else the subject of that verb."""
        for edge in [e for e in self.edges if e.relation == "xcomp"]:
            verb, complement = edge.head, edge.dependent
            token = self.tree.tokens[verb]
            certain = token.pos in ("VERB", "ADJ") and token.lemma != "be"
            if not certain or self.dependents(complement, "nsubj", "csubj"):
                continue
            objects = self.dependents(verb, "obj") or self.dependents(verb, "iobj")
            if token.lemma in _SUBJECT_CONTROL:
                objects = []
            passive = ":pass" if self.tree.children(complement, "aux:pass") else ""
            for subject in objects or self.dependents(verb, "nsubj"):
                self.add(complement, subject, f"nsubj{passive}:xsubj")
