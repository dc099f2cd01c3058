"""A parsed prompt as a plain value, independent of the parser."""

from __future__ import annotations

import html
import operator
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from daam_syntax.errors import WordError
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import ANY_TEXT, checked
from daam_syntax.util.json_fields import read_fields
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Token:
    """A token of the parse.

    Attributes
    ----------
    index
        Position in the sentence, from 0. It identifies the word; the text is only a label.
    text, lemma
        The word as written, and its dictionary form.
    pos, tag
        Universal part of speech, and the parser's own finer tag ("" if unknown).
    start, end
        Character offsets into the prompt, end exclusive.
    """

    index: int
    text: str
    lemma: str
    pos: str
    tag: str
    start: int
    end: int


@dataclass(frozen=True)
class Edge:
    """A dependency edge from the token `head` to the token `dependent` (indices), labeled `relation`."""

    head: int
    dependent: int
    relation: str


@dataclass(frozen=True)
class Span:
    """A noun phrase: the tokens from `start` up to but excluding `end`, with the noun `root` (indices)."""

    start: int
    end: int
    root: int


@checked(text=ANY_TEXT, parser=ANY_TEXT)
@dataclass(frozen=True)
class Sentence:
    """A parsed prompt. A prompt of several grammatical sentences has several roots.

    Attributes
    ----------
    text
        The prompt.
    tokens
        All tokens, including white space, to account for every character.
    edges
        Dependency edges by scheme. ``"native"``: the parser's own labels. ``"ud"``: basic Universal Dependencies, a
        tree. ``"enhanced"``: the enhanced graph, in which a word may have several heads, and two words several edges.
    noun_phrases
        Base noun phrases, in order.
    parser
        Name and version of the parser.
    root_indices
        Maps a dependency scheme to the indices of its roots, for schemes in which a root may also have a head. In other
        schemes the roots are the words without a head.

    Raises
    ------
    ValueError
        If offsets, indices or edges are inconsistent; the message lists every problem.
    """

    text: str
    tokens: tuple[Token, ...]
    edges: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    noun_phrases: tuple[Span, ...] = ()
    parser: str = ""
    root_indices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("edges", "root_indices"):
            values = {scheme: tuple(items) for scheme, items in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(values))
        problems = self._problems()
        if problems:
            raise ValueError(
                f"Expected a consistent parse of {self.text!r}, but " + "; ".join(problems)
            )

    def _problems(self) -> list[str]:
        n = len(self.tokens)
        problems = []
        for i, token in enumerate(self.tokens):
            if token.index != i:
                problems.append(f"token {i} has index {token.index}")
            inside = 0 <= token.start <= token.end <= len(self.text)
            if not inside or self.text[token.start : token.end] != token.text:
                problems.append(
                    f"token {i} {token.text!r} is not at characters {token.start}-{token.end}"
                )
        for scheme, edges in self.edges.items():
            for edge in edges:
                if not (0 <= edge.head < n and 0 <= edge.dependent < n):
                    problems.append(f"{scheme}: {edge} leaves the {n} tokens")
                elif edge.head == edge.dependent:
                    problems.append(f"{scheme}: {edge} makes a token its own head")
            if len(set(edges)) < len(edges):
                problems.append(f"{scheme}: an edge is repeated")
        for scheme, roots in self.root_indices.items():
            if scheme not in self.edges or not all(0 <= root < n for root in roots):
                problems.append(f"{scheme}: {roots} are not roots among its {n} tokens")
        for span in self.noun_phrases:
            if not 0 <= span.start <= span.root < span.end <= n:
                problems.append(f"{span} is not a span around its root in {n} tokens")
        return problems

    def __hash__(self) -> int:
        edges, roots = frozenset(self.edges.items()), frozenset(self.root_indices.items())
        return hash((self.text, self.tokens, edges, self.noun_phrases, self.parser, roots))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)  # mapping proxies cannot be pickled

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.tokens)

    def __iter__(self) -> Iterator[Token]:
        """Iterate over the tokens."""
        return iter(self.tokens)

    def __getitem__(self, index: int | str) -> Token:
        """Return a token by its index, also a negative one as in lists, or by its text if that occurs once."""
        if type(index) is int and -len(self) <= index < len(self):
            return self.tokens[index]
        return self.tokens[self.index(index)]

    def __repr__(self) -> str:
        return f"Sentence({self.text!r}: {plural(len(self), 'token')}; {', '.join(self.edges) or 'no edges'})"

    def __str__(self) -> str:
        """Return a table of the tokens with their heads and relations in each scheme."""
        rows = list(self._table())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the tokens."""
        return tuple(token.text for token in self.tokens)

    @checked
    def edges_of(self, scheme: str) -> tuple[Edge, ...]:
        """Return the edges of a scheme.

        Raises
        ------
        ValueError
            If the sentence has no such scheme.
        """
        if scheme not in self.edges:
            raise ValueError(
                f"Expected one of this sentence's schemes ({', '.join(self.edges) or 'none'}), "
                f"but got {scheme!r}."
            )
        return self.edges[scheme]

    @checked
    def roots(self, scheme: str) -> tuple[int, ...]:
        """Return the indices of the roots: those in `root_indices`, or else the words without a head.

        White space is never a root.

        Raises
        ------
        ValueError
            If the sentence has no such scheme.
        """
        edges = self.edges_of(scheme)
        if scheme in self.root_indices:
            return self.root_indices[scheme]
        dependents = {edge.dependent for edge in edges}
        return tuple(t.index for t in self.tokens if t.index not in dependents and t.text.strip())

    @checked
    def graph(self, scheme: str) -> nx.MultiDiGraph:
        """Return the dependency tree or graph, with edges from heads to dependents.

        Nodes are token indices with ``text``, ``lemma`` and ``pos``. Edges have ``relation``, which is also their key:
        ``graph.edges[head, dependent, relation]``. In an enhanced graph a word may have several heads, two words may
        have several edges, and there may be cycles.

        Raises
        ------
        ValueError
            If the sentence has no such scheme.
        """
        import networkx as nx

        graph = nx.MultiDiGraph()
        for token in self.tokens:
            graph.add_node(token.index, text=token.text, lemma=token.lemma, pos=token.pos)
        for edge in self.edges_of(scheme):
            graph.add_edge(edge.head, edge.dependent, key=edge.relation, relation=edge.relation)
        return graph

    @checked
    def subtree(self, index: int, scheme: str) -> tuple[int, ...]:
        """Return the sorted indices of a token and all its descendants.

        In an enhanced graph the descendants of the verb of a relative clause include its antecedent.

        Parameters
        ----------
        index
            Index of the token.
        scheme
            A dependency scheme in `edges`.

        Raises
        ------
        WordError
            If the token does not exist.
        ValueError
            If the sentence has no such scheme.
        """
        import networkx as nx

        self._check(index)
        return tuple(sorted({index, *nx.descendants(self.graph(scheme), index)}))

    @checked
    def tree_distance(self, first: int, second: int, scheme: str) -> int | None:
        """Return the number of edges on the shortest path between two tokens, ignoring direction; None without a path.

        Parameters
        ----------
        first, second
            Indices of the tokens.
        scheme
            A dependency scheme in `edges`.

        Raises
        ------
        WordError
            If the token does not exist.
        ValueError
            If the sentence has no such scheme.
        """
        import networkx as nx

        self._check(first)
        self._check(second)
        try:
            path = nx.shortest_path_length(self.graph(scheme).to_undirected(), first, second)
        except nx.NetworkXNoPath:
            return None
        return int(path)

    @checked
    def find(self, text: str) -> tuple[int, ...]:
        """Return the indices of all tokens with this text, ignoring case."""
        wanted = text.casefold()
        return tuple(t.index for t in self.tokens if t.text.casefold() == wanted)

    def index(self, word: int | str) -> int:
        """Return the index of a word, given as its index or as a text that occurs once.

        Raises
        ------
        WordError
            If the word does not exist, or its text occurs more than once.
        TypeError
            If it is neither an index nor a string.
        """
        if isinstance(word, str):
            found = self.find(word)
            if len(found) > 1:
                raise WordError(
                    f"Expected one word {word!r}, but it has indices {', '.join(map(str, found))} in "
                    f"{self.text!r}; use an index."
                )
            if not found:
                hint = "; several words are a phrase, see `HeatMaps.phrase`" if " " in word else ""
                raise WordError(
                    f"Expected a word of {self.text!r} ({', '.join(self.words)}), but got {word!r}{hint}."
                )
            return found[0]
        try:
            index = operator.index(word)  # refuses 1.5
            if isinstance(word, bool):
                raise TypeError
        except TypeError:
            raise TypeError(
                f"Expected one word, as its index in {self.text!r} or as its text, but got {type(word).__name__}."
            ) from None
        self._check(index)
        return index

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise WordError(
                f"Expected an index from 0 to {len(self) - 1} in {self.text!r}, but got {index}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the sentence as lists and dictionaries for JSON."""
        return {
            "text": self.text,
            "tokens": [asdict(token) for token in self.tokens],
            "edges": {scheme: [asdict(e) for e in edges] for scheme, edges in self.edges.items()},
            "noun_phrases": [asdict(span) for span in self.noun_phrases],
            "parser": self.parser,
            "root_indices": {scheme: list(roots) for scheme, roots in self.root_indices.items()},
        }

    @classmethod
    @checked
    def from_dict(cls, values: Mapping[str, Any]) -> Sentence:
        """Return the sentence from the value of `to_dict`.

        Raises
        ------
        ValueError
            If the value is anything else.
        """
        try:
            return cls(
                text=values["text"],
                tokens=tuple(read_fields(Token, token) for token in values["tokens"]),
                edges={
                    scheme: tuple(read_fields(Edge, edge) for edge in edges)
                    for scheme, edges in values["edges"].items()
                },
                noun_phrases=tuple(read_fields(Span, span) for span in values["noun_phrases"]),
                parser=values["parser"],
                root_indices=values.get("root_indices", {}),  # earlier versions did not write it
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"Expected a sentence as `Sentence.to_dict` returns it, but got {shown(values)}."
            ) from error

    def _repr_html_(self) -> str:
        """Show a table of the tokens with their heads and relations in each scheme."""
        head, *rows = self._table()
        lines = [
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
            for tag, cells in (("th", head), *(("td", row) for row in rows))
        ]
        return (
            f"<p><b>{html.escape(self.text)}</b> <small>{html.escape(self.parser)}</small></p>"
            f'<table style="white-space: nowrap">{"".join(lines)}</table>'
        )

    def _table(self) -> Iterator[list[str]]:
        """Yield the column names, then one row per token."""
        yield ["", "word", "lemma", "pos", *self.edges]
        for token in self.tokens:
            heads = [self._heads_of(token.index, scheme) for scheme in self.edges]
            yield [str(token.index), token.text, token.lemma, token.pos, *heads]

    def _heads_of(self, index: int, scheme: str) -> str:
        root = ["root"] if index in self.roots(scheme) else []
        heads = [
            f"{edge.relation} \u2190 {self[edge.head].text}\u2009({edge.head})"
            for edge in self.edges[scheme]
            if edge.dependent == index
        ]
        return ", ".join(root + heads)
