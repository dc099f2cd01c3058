"""Read and write parses in CoNLL-U (https://universaldependencies.org/format.html).

`conllu_rows` knows the lines of the format; this module maps them to `Sentence`, and `conllu_writing` does the reverse:

- The tree becomes the schemes ``ud`` and ``native``. Column DEPS becomes ``enhanced``; if no word of the sentence has
  it, ``enhanced`` is made from the tree.
- The words of a multiword token ("al": a, el) share its characters, unless they add up to it ("don't": do, n't).
- A `Sentence` has no empty nodes. A path through an empty node becomes one edge with both labels (``conj>obj``), unless
  it leads back to the word.
- Spacing follows ``SpaceAfter=No``, ``SpacesAfter`` and ``SpacesBefore``, or else the comment ``# text``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from unicodedata import normalize

from daam_syntax.errors import FileError
from daam_syntax.language.conllu_rows import (
    Id,
    Row,
    blocks,
    comments,
    in_one_line,
    read_row,
    shown_id,
)
from daam_syntax.language.conllu_writing import PARSER_NAME, SCHEME, write_sentence
from daam_syntax.language.sentence import Edge, Sentence, Token
from daam_syntax.language.ud.conversion import LabelSet, detect_labels, universal_sentence
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

_MOST_PROBLEMS: Final = 100
"""Problems of a file that a message lists; text that is not CoNLL-U has one in each line."""

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
    return [sentence for _, sentence in read_named(path)]


def read_named(path: str | Path) -> list[tuple[str, Sentence]]:
    """Read the sentences of a CoNLL-U file with their names, "" without one; see `read`."""
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
    return loads_named(text, source=str(path))


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
    return [sentence for _, sentence in loads_named(text, source)]


def loads_named(text: str, source: str = "the text") -> list[tuple[str, Sentence]]:
    """Read the sentences of a CoNLL-U text with their names, ``# sent_id``, "" without one; see `loads`."""
    sentences: list[tuple[str, Sentence]] = []
    problems: list[str] = []
    for lines in blocks(text):
        rows, found = _rows(lines)
        if not found:
            named = comments(lines)
            try:
                sentences.append((named.get("sent_id", ""), _read_sentence(named, rows)))
            except ValueError as error:
                reason = str(error).removesuffix(".")
                found = [f"the sentence from line {lines[0][0]}: {reason}"]
        problems += found
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        rest = f"; and {plural(more, 'more problem')}" if more > 0 else ""
        raise FileError(
            f"Expected CoNLL-U in {source}, but {'; '.join(problems[:_MOST_PROBLEMS])}{rest}."
        )
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
    return "".join(write_sentence(sentence) for sentence in sentences)


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
    twice = next((row_id for row_id, n in Counter(row.id for row in rows).items() if n > 1), None)
    if twice is not None:
        yield f"the sentence from line {first} has {shown_id(twice)} twice"
    known = {row.id for row in rows} | {0}
    for row in words:
        if row.head not in known or row.head == row.id:
            written = "_" if row.head is None else row.head
            yield f"line {row.line}: word {row.id} has head {written}, which is not another word"
    for row in rows:
        for _, head in row.deps:
            if head not in known:
                yield f"line {row.line}: the head {shown_id(head)} in DEPS is not a word"
            if head == row.id:
                yield f"line {row.line}: the head {shown_id(head)} in DEPS is the word itself"


def _read_sentence(named: Mapping[str, str], rows: Sequence[Row]) -> Sentence:
    text, spans = _place(rows, named.get("text"))
    words = [row for row in rows if isinstance(row.id, int)]
    tokens = tuple(
        Token(i, text[start:end], row.lemma, row.upos, row.xpos, start, end)
        for i, (row, (start, end)) in enumerate(zip(words, spans, strict=True))
    )
    edges = tuple(Edge(row.head - 1, i, row.deprel) for i, row in enumerate(words) if row.head)
    labels = {edge.relation for edge in edges}
    is_ud = named.get(SCHEME) == "ud" or detect_labels(labels) == "ud"
    label_set: LabelSet | None = "ud" if is_ud else None
    parser = named.get("parser", PARSER_NAME)
    sentence = universal_sentence(text, tokens, edges, label_set, parser=parser)
    return _with_deps(sentence, rows) if any(row.deps for row in words) else sentence


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
    is_rebuilt = any(row.is_rebuilt for row, _ in surface)
    if comment is not None and not (
        is_rebuilt and _without_blanks(text) == _without_blanks(comment)
    ):
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


def _without_blanks(text: str) -> str:
    """Return what a text and its comment have in common, even if a comment has blanks of another kind or number."""
    return "".join(in_one_line(text).split())


def _surface(rows: Sequence[Row]) -> list[tuple[Row, list[str]]]:
    """Return each token as it is written, with the words in it."""
    surface: list[tuple[Row, list[str]]] = []
    n_words = sum(isinstance(row.id, int) for row in rows)
    at = last = 0
    for row in rows:
        if isinstance(row.id, int):
            at = row.id
            if row.id <= last:
                surface[-1][1].append(row.form)
            else:
                surface.append((row, [row.form]))
        elif row.id[1] == "-":
            if not last < row.id[0] < row.id[2] <= n_words:
                raise ValueError(f"line {row.line}: {shown_id(row.id)} is not a range of words")
            if row.id[0] != at + 1:
                raise ValueError(
                    f"line {row.line}: {shown_id(row.id)} does not stand before word {row.id[0]}"
                )
            last = row.id[2]
            surface.append((row, []))
    return surface


def _found(surface: Sequence[tuple[Row, list[str]]], text: str) -> list[int]:
    """Return where each token starts in a text."""
    starts, at = [], 0
    for row, _ in surface:
        start = text.find(row.form, at)
        if start < 0 or text[at:start].strip():
            left, word = (normalize("NFC", each) for each in (text[at:], row.form))
            is_encoded = left.lstrip().startswith(word)
            hint = ", whose accents are encoded in another way" if is_encoded else ""
            raise ValueError(
                f"{row.form[:80]!r} (line {row.line}) does not come next in {text[at:][:80]!r}{hint}"
            )
        starts.append(start)
        at = start + len(row.form)
    if text[at:].strip():
        raise ValueError(f"the text goes on after the last word: {text[at:].strip()[:80]!r}")
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
        leads_to_word = not row.deps
        while left:
            node, path, passed = left.pop(0)
            for label, head in incoming[node]:
                joined = f"{label}>{path}" if path or passed else label
                leads_to_word |= isinstance(head, int)
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
        if not leads_to_word:
            raise ValueError(f"line {row.line}: the empty nodes in DEPS have no word as their head")
    return replace(
        sentence,
        edges={**sentence.edges, "enhanced": tuple(sorted(edges, key=_in_columns))},
        root_indices={"enhanced": tuple(roots)},
    )


def _in_columns(edge: Edge) -> tuple[int, int, str]:
    """Return where an edge is in column DEPS: of its dependent, in the order of the heads."""
    return edge.dependent, edge.head, edge.relation
