"""Read and write parses in CoNLL-U (https://universaldependencies.org/format.html).

`conllu_rows` knows the lines of the format; this module maps them to `Sentence`:

- The tree becomes the schemes ``ud`` and ``native``. Column DEPS becomes ``enhanced``; if no word of the sentence has
  it, ``enhanced`` is made from the tree.
- The words of a multiword token ("al": a, el) share its characters, unless they add up to it ("don't": do, n't).
- A `Sentence` has no empty nodes. A path through an empty node becomes one edge with both labels (``conj>obj``).
- Spacing follows ``SpaceAfter=No``, ``SpacesAfter`` and ``SpacesBefore``, or else the comment ``# text``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError
from daam_syntax.language.conllu_rows import (
    Id,
    Row,
    blocks,
    comments,
    in_one_line,
    read_row,
    shown_id,
    white_space,
    write_row,
)
from daam_syntax.language.sentence import Edge, Sentence, Token
from daam_syntax.language.ud.conversion import LabelSet, detect_labels, universal_sentence
from daam_syntax.util.whole_files import whole_file

PARSER_NAME: Final = "CoNLL-U"
_SCHEME: Final = "scheme"
"""Comment of a tree with labels that are not those of Universal Dependencies, although it is read as such."""
_MOST_WORDS: Final = 4_000
"""No sentence has so many; empty lines are missing, and a graph of so many words takes seconds."""

_MOST_STEPS: Final = 10_000
"""Steps along edges of empty nodes; a graph of thirty of them can have more paths than can ever be followed."""


def read(path: str | Path) -> list[Sentence]:
    """Read the sentences of a CoNLL-U file.

    Raises
    ------
    FileError
        If the file cannot be read, or is not CoNLL-U; the message lists every problem with its line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # only line feeds end lines
            text = file.read()
    except UnicodeDecodeError as error:
        raise FileError(
            f"Expected UTF-8 text in {path}, but byte {error.start} is not; save it as UTF-8."
        ) from error
    except OSError as error:
        raise FileError(
            f"Expected a CoNLL-U file, but {path} cannot be read: {error.strerror}."
        ) from error
    return loads(text, source=str(path))


def loads(text: str, source: str = "the text") -> list[Sentence]:
    """Read the sentences of a CoNLL-U text.

    Parameters
    ----------
    text
        Sentences in CoNLL-U, separated by empty lines.
    source
        Name of the text in error messages.

    Raises
    ------
    FileError
        If the text is not CoNLL-U; the message lists every problem with its line.
    """
    sentences: list[Sentence] = []
    problems: list[str] = []
    for lines in blocks(text):
        rows, found = _rows(lines)
        if not found:
            try:
                sentences.append(_read_sentence(comments(lines), rows))
            except ValueError as error:
                found = [f"the sentence from line {lines[0][0]}: {error}"]
        problems += found
    if problems:
        raise FileError(f"Expected CoNLL-U in {source}, but " + "; ".join(problems) + ".")
    if not sentences:
        raise FileError(f"Expected a sentence in CoNLL-U in {source}, but got none.")
    return sentences


def write(sentences: Iterable[Sentence], path: str | Path) -> None:
    """Write sentences to a CoNLL-U file, whole or not at all; see `dumps`."""
    text = dumps(sentences)
    with whole_file(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def dumps(sentences: Iterable[Sentence]) -> str:
    """Return sentences as CoNLL-U. White space tokens become ``SpacesAfter``.

    `loads` returns the same text, words, tags, and edges of the schemes ``ud`` and ``enhanced``, whatever characters
    they have.

    Raises
    ------
    ValueError
        If a sentence lacks the scheme ``ud``, or that is not a tree of words that follow each other.
    """
    return "".join(_write_sentence(sentence) for sentence in sentences)


# -- reading ---------------------------------------------------------------------------------------------------------


def _rows(lines: list[tuple[int, str]]) -> tuple[list[Row], list[str]]:
    """Parse the lines of a sentence; return its rows, and all problems."""
    rows: list[Row] = []
    problems: list[str] = []
    for number, line in lines:
        if not line.startswith("#"):
            try:
                rows.append(read_row(number, line))
            except ValueError as error:
                problems.append(str(error))
    return rows, problems or list(_misplaced(lines[0][0], rows))[:1]


def _misplaced(first: int, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is wrong with the numbers of words."""
    words = [row for row in rows if isinstance(row.id, int)]
    if len(words) > _MOST_WORDS:
        yield (
            f"the sentence from line {first} has {len(words):,} words, more than {_MOST_WORDS:,}; separate sentences "
            "by empty lines"
        )
    if [row.id for row in words] != list(range(1, len(words) + 1)):
        yield f"the words from line {first} are not numbered 1, 2, 3 and so on"
    known = {row.id for row in rows} | {0}
    for row in words:
        if row.head not in known or row.head == row.id:
            yield f"line {row.line}: word {row.id} has head {row.head}, which is not another word"
    for row in rows:
        for _, head in row.deps:
            if head not in known:
                yield f"line {row.line}: the head {shown_id(head)} in DEPS is not a word"


def _read_sentence(named: Mapping[str, str], rows: Sequence[Row]) -> Sentence:
    text, spans = _place(rows, named.get("text"))
    words = [row for row in rows if isinstance(row.id, int)]
    tokens = tuple(
        Token(i, text[start:end], row.lemma, row.upos, row.xpos, start, end)
        for i, (row, (start, end)) in enumerate(zip(words, spans, strict=True))
    )
    edges = tuple(Edge(row.head - 1, i, row.deprel) for i, row in enumerate(words) if row.head)
    labels = {edge.relation for edge in edges}
    is_ud = named.get(_SCHEME) == "ud" or detect_labels(labels) == "ud"
    label_set: LabelSet | None = "ud" if is_ud else None
    parser = named.get("parser", PARSER_NAME)
    sentence = universal_sentence(text, tokens, edges, label_set, parser=parser)
    return _with_deps(sentence, rows) if any(row.deps for row in rows) else sentence


def _place(rows: Sequence[Row], comment: str | None) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of a sentence, and start and end of each word."""
    surface = _surface(rows)
    text, starts = "", []
    for row, _ in surface:
        text += row.space("SpacesBefore")
        starts.append(len(text))
        text += row.form + row.space("SpacesAfter")
    last = surface[-1][0]
    text = text if {"SpacesAfter", "SpaceAfter"} & set(last.misc) else text.rstrip(" ")
    if comment is not None and not any(row.is_rebuilt for row, _ in surface):
        text, starts = comment, _found(surface, comment)
    spans: list[tuple[int, int]] = []
    for (row, words), start in zip(surface, starts, strict=True):
        end = start + len(row.form)
        if "".join(words) != row.form:
            spans += [(start, end)] * len(words)
            continue
        for word in words:
            spans.append((start, start + len(word)))
            start += len(word)
    return text, spans


def _surface(rows: Sequence[Row]) -> list[tuple[Row, list[str]]]:
    """Return each token as it is written, with the words in it."""
    surface: list[tuple[Row, list[str]]] = []
    last = 0
    for row in rows:
        if isinstance(row.id, int):
            if row.id <= last:
                surface[-1][1].append(row.form)
            else:
                surface.append((row, [row.form]))
        elif row.id[1] == "-":
            if not last < row.id[0] < row.id[2]:
                raise ValueError(f"line {row.line}: {shown_id(row.id)} is not a range of words")
            last = row.id[2]
            surface.append((row, []))
    return surface


def _found(surface: Sequence[tuple[Row, list[str]]], text: str) -> list[int]:
    """Return where each token starts in a text."""
    starts, at = [], 0
    for row, _ in surface:
        start = text.find(row.form, at)
        if start < 0 or text[at:start].strip():
            raise ValueError(
                f"{row.form[:80]!r} (line {row.line}) does not come next in {text[at:][:80]!r}"
            )
        starts.append(start)
        at = start + len(row.form)
    return starts


def _with_deps(sentence: Sentence, rows: Sequence[Row]) -> Sentence:
    """Replace the enhanced graph by column DEPS, in which paths through empty nodes become one edge."""
    incoming = {row.id: row.deps for row in rows}
    steps = 0
    edges: dict[Edge, None] = {}
    roots: dict[int, None] = {}
    for row in rows:
        if not isinstance(row.id, int):
            continue
        # Each entry: a node, the label of the path from it to the word, and the empty nodes on it.
        left: list[tuple[Id, str, frozenset[Id]]] = [(row.id, "", frozenset())]
        while left:
            node, path, passed = left.pop(0)
            for label, head in incoming[node]:
                joined = f"{label}>{path}" if path or passed else label
                if not isinstance(head, int):
                    if head not in passed:
                        steps += 1
                        left.append((head, joined, passed | {head}))
                elif head == 0:
                    roots[row.id - 1] = None
                elif head != row.id:
                    edges[Edge(head - 1, row.id - 1, joined)] = None
            if steps > _MOST_STEPS:
                raise ValueError(
                    f"its empty nodes make more than {_MOST_STEPS:,} paths between words"
                )
    return replace(
        sentence,
        edges={**sentence.edges, "enhanced": tuple(edges)},
        root_indices={"enhanced": tuple(roots)},
    )


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_sentence(sentence: Sentence) -> str:
    words = [token for token in sentence.tokens if token.text.strip()]
    number = {token.index: i for i, token in enumerate(words, start=1)}
    basic = {edge.dependent: edge for edge in sentence.edges_of("ud")}
    _check_writable(sentence, words, number)
    graph: dict[int, list[tuple[str, Id]]] = {token.index: [] for token in words}
    if "enhanced" in sentence.edges:
        for root in sentence.roots("enhanced"):
            graph[root].append(("root", 0))
        for edge in sentence.edges["enhanced"]:
            graph[edge.dependent].append((edge.relation, number[edge.head]))
    groups: dict[tuple[int, int], list[Token]] = {}
    for token in words:
        groups.setdefault((token.start, token.end), []).append(token)
    following = [*(start for start, _ in list(groups)[1:]), len(sentence.text)]
    rows: list[Row] = []
    for (span, group), start in zip(groups.items(), following, strict=True):
        before = "" if rows else sentence.text[: span[0]]
        misc = _spacing(sentence.text[span[1] : start], before, group[-1] is words[-1])
        if len(group) > 1:
            ids = (number[group[0].index], "-", number[group[-1].index])
            rows.append(Row(ids, group[0].text, misc=misc))
        for token in group:
            edge_in = basic.get(token.index)
            rows.append(
                Row(
                    number[token.index],
                    token.text,
                    token.lemma,
                    token.pos,
                    token.tag,
                    number[edge_in.head] if edge_in else 0,
                    edge_in.relation if edge_in else "root",
                    tuple(sorted(graph[token.index], key=lambda dep: (dep[1], dep[0]))),
                    {} if len(group) > 1 else misc,
                )
            )
    named = {"text": sentence.text, "parser": sentence.parser or PARSER_NAME}
    if detect_labels({edge.relation for edge in basic.values()}) != "ud":
        named[_SCHEME] = "ud"
    lines = [f"# {name} = {in_one_line(value)}" for name, value in named.items()]
    return "\n".join((*lines, *map(write_row, rows), "", ""))


def _check_writable(sentence: Sentence, words: Sequence[Token], number: Mapping[int, int]) -> None:
    """Raise if a sentence has what no CoNLL-U can have."""
    edges = sentence.edges_of("ud")
    if len({edge.dependent for edge in edges}) < len(edges):
        raise ValueError(f"Expected one head per word in 'ud', but {sentence!r} has several.")
    shown = [edge for scheme in ("ud", "enhanced") for edge in sentence.edges.get(scheme, ())]
    ends = {index for edge in shown for index in (edge.head, edge.dependent)}
    blank = sorted(ends - number.keys())
    if blank or not words:
        raise ValueError(
            f"Expected edges between words, but {sentence!r} has none, or some of white space (token {blank[:1]})."
        )
    for one, other in pairwise(words):
        if one.end > other.start and (one.start, one.end) != (other.start, other.end):
            raise ValueError(
                f"Expected words that follow each other, but {one.text!r} and {other.text!r} overlap or are reversed "
                f"in {sentence!r}."
            )


def _spacing(after: str, before: str, is_last: bool) -> dict[str, str]:
    """Return the white space after a token, and before the first, as MISC; a single space is the default."""
    misc = {}
    if before:
        misc["SpacesBefore"] = white_space(before)
    if not after:
        misc["SpaceAfter"] = "No"
    elif after != " " or is_last:
        misc["SpacesAfter"] = white_space(after)
    return misc
