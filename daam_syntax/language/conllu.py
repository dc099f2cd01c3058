"""Read and write parses in CoNLL-U (https://universaldependencies.org/format.html).

The library ``conllu`` parses the format; this module maps it to `Sentence`:

- The tree becomes the schemes ``ud`` and ``native``. Column DEPS becomes ``enhanced``; if no word of the sentence has
  it, ``enhanced`` is made from the tree.
- The words of a multiword token ("al": a, el) share its characters, unless they add up to it ("don't": do, n't).
- A `Sentence` has no empty nodes. A path through an empty node becomes one edge with both labels (``conj>obj``).
- Spacing follows ``SpaceAfter=No``, ``SpacesAfter`` and ``SpacesBefore``, or else the comment ``# text``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import FileError
from daam_syntax.language.sentence import Edge, Sentence, Token
from daam_syntax.language.ud.conversion import LabelSet, detect_labels, universal_sentence
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    import conllu

PARSER_NAME: Final = "CoNLL-U"

_ESCAPES: Final = MappingProxyType(
    {"\\": "\\\\", " ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r", "|": "\\p"}
)  # how UDPipe writes white space in the last column
_ESCAPED: Final = re.compile(r"\\(?:[\\stnrp]|u([0-9A-Fa-f]{4}))")  # treebanks also write \u00A0
_COLUMNS: Final = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def read(path: str | Path) -> list[Sentence]:
    """Read the sentences of a CoNLL-U file.

    Raises
    ------
    FileError
        If the file cannot be read, or is not CoNLL-U; the message lists every problem with its line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
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
    for lines in _blocks(text):
        rows, found = _rows(lines)
        if not found:
            sentence, found = _read_sentence(lines, rows)
            sentences += [sentence] if sentence else []
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
        partial.write_text(text, encoding="utf-8")


def dumps(sentences: Iterable[Sentence]) -> str:
    """Return sentences as CoNLL-U. White space tokens become ``SpacesAfter``.

    Raises
    ------
    ValueError
        If a sentence lacks the scheme ``ud``.
    """
    return "".join(_write_sentence(sentence).serialize() for sentence in sentences)


_Lines = list[tuple[int, str]]


def _blocks(text: str) -> list[_Lines]:
    """Split a text at empty lines into blocks of numbered lines, from 1."""
    blocks: list[_Lines] = [[]]
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            blocks[-1].append((number, line))
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if any(not line.startswith("#") for _, line in block)]


def _rows(lines: _Lines) -> tuple[list[dict[str, Any]], list[str]]:
    """Parse the lines of a sentence; return its rows with their line numbers, and all problems."""
    import conllu

    rows, problems = [], []
    for number, line in lines:
        if line.startswith("#"):
            continue
        n_columns = len(line.split("\t"))
        if n_columns != len(_COLUMNS):
            problems.append(f"line {number} has {n_columns} columns between tabs, not 10")
            continue
        try:
            row = dict(conllu.parse(line)[0][0])
        except conllu.exceptions.ParseException as error:
            problems.append(f"line {number}: {str(error).rstrip('.')}")
            continue
        rows.append({**row, "line": number})
    words = [row for row in rows if isinstance(row["id"], int)]
    if not problems and [row["id"] for row in words] != list(range(1, len(words) + 1)):
        problems.append(f"the words from line {lines[0][0]} are not numbered 1, 2, 3 and so on")
    known = {row["id"] for row in rows} | {0}
    for row in words:
        if not problems and (row["head"] not in known or row["head"] == row["id"]):
            problems.append(
                f"line {row['line']}: word {row['id']} has head {row['head']}, which is not another word"
            )
    for row in rows:
        for _, head in row["deps"] or ():
            if not problems and head not in known:
                problems.append(f"line {row['line']}: the head {_id(head)} in DEPS is not a word")
    return rows, problems


def _id(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read_sentence(lines: _Lines, rows: list[dict[str, Any]]) -> tuple[Sentence | None, list[str]]:
    import conllu

    first = lines[0][0]
    comments = "\n".join(line for _, line in lines if line.startswith("#"))
    metadata = conllu.parse(f"{comments}\n1\t_\n")[0].metadata
    try:
        text, spans = _place(rows, metadata.get("text"))
    except ValueError as error:
        return None, [f"the sentence from line {first}: {error}"]
    words = [row for row in rows if isinstance(row["id"], int)]
    tokens = tuple(
        Token(
            i,
            text[start:end],
            _value(row["lemma"]) or row["form"],
            _value(row["upos"]),
            _value(row["xpos"]),
            start,
            end,
        )
        for i, (row, (start, end)) in enumerate(zip(words, spans, strict=True))
    )
    edges = tuple(
        Edge(row["head"] - 1, i, _value(row["deprel"]) or "dep")
        for i, row in enumerate(words)
        if row["head"]
    )
    parser = metadata.get("parser", PARSER_NAME)
    try:
        labels = {edge.relation for edge in edges}
        label_set: LabelSet | None = "ud" if detect_labels(labels) == "ud" else None
        sentence = universal_sentence(text, tokens, edges, label_set, parser=parser)
    except ValueError as error:
        return None, [f"the sentence from line {first}: {error}"]
    if any(row["deps"] for row in rows):
        sentence = _with_deps(sentence, rows)
    return sentence, []


def _value(column: str | None) -> str:
    return "" if column in (None, "_") else str(column)


def _place(
    rows: Sequence[Mapping[str, Any]], comment: str | None
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of a sentence, and start and end of each word."""
    # Each token as written, and the words in it.
    surface: list[tuple[Mapping[str, Any], list[str]]] = []
    inside: set[int] = set()
    for row in rows:
        if isinstance(row["id"], int):
            if row["id"] in inside:
                surface[-1][1].append(row["form"])
            else:
                surface.append((row, [row["form"]]))
        elif row["id"][1] == "-":
            inside |= set(range(row["id"][0], row["id"][2] + 1))
            surface.append((row, []))
    spaced = any({"SpacesAfter", "SpacesBefore"} & set(row["misc"] or ()) for row, _ in surface)
    text = "".join(
        _space(row, "SpacesBefore") + row["form"] + _space(row, "SpacesAfter") for row, _ in surface
    )
    last = surface[-1][0]["misc"] or {}
    text = text if "SpacesAfter" in last or "SpaceAfter" in last else text.rstrip(" ")
    if comment is not None and not spaced:
        text = comment
    spans: list[tuple[int, int]] = []
    at = 0
    for row, words in surface:
        start = text.find(row["form"], at)
        if start < 0 or text[at:start].strip():
            raise ValueError(f"{row['form']!r} (line {row['line']}) does not come next in {text!r}")
        at = start + len(row["form"])
        if "".join(words) != row["form"]:
            spans += [(start, at)] * len(words)
            continue
        for word in words:
            spans.append((start, start + len(word)))
            start += len(word)
    return text, spans


def _space(row: Mapping[str, Any], name: str) -> str:
    misc = row["misc"] or {}
    if name in misc:
        plain = {short: long for long, short in _ESCAPES.items()}
        return _ESCAPED.sub(
            lambda found: plain.get(found[0]) or chr(int(found[1], 16)), str(misc[name])
        )
    return " " if name == "SpacesAfter" and misc.get("SpaceAfter") != "No" else ""


def _with_deps(sentence: Sentence, rows: Sequence[Mapping[str, Any]]) -> Sentence:
    """Replace the enhanced graph by column DEPS, in which paths through empty nodes become one edge."""
    incoming = {row["id"]: [(head, label) for label, head in row["deps"] or ()] for row in rows}

    def heads_of(node: Any, seen: frozenset[Any]) -> Iterable[tuple[int, str]]:
        for head, label in incoming.get(node, ()):
            if isinstance(head, int):
                yield head, label
            elif head not in seen:
                for above, upper in heads_of(head, seen | {head}):
                    yield above, f"{upper}>{label}"

    edges: dict[Edge, None] = {}
    roots = []
    for row in rows:
        if not isinstance(row["id"], int):
            continue
        for head, label in heads_of(row["id"], frozenset()):
            if head == 0:
                roots.append(row["id"] - 1)
            elif head != row["id"]:
                edges[Edge(head - 1, row["id"] - 1, label)] = None
    return replace(
        sentence,
        edges={**sentence.edges, "enhanced": tuple(edges)},
        root_indices={"enhanced": tuple(dict.fromkeys(roots))},
    )


def _write_sentence(sentence: Sentence) -> conllu.TokenList:
    import conllu

    words = [token for token in sentence.tokens if token.text.strip()]
    number = {token.index: i for i, token in enumerate(words, start=1)}
    basic = {edge.dependent: edge for edge in sentence.edges_of("ud")}
    graph: dict[int, list[tuple[str, int]]] = {token.index: [] for token in words}
    if "enhanced" in sentence.edges:
        for root in sentence.roots("enhanced"):
            graph[root].append(("root", 0))
        for edge in sentence.edges["enhanced"]:
            graph[edge.dependent].append((edge.relation, number[edge.head]))
    rows: list[dict[str, Any]] = []
    for i, token in enumerate(words, start=1):
        group = [w for w in words if (w.start, w.end) == (token.start, token.end)]
        after = sentence.text[token.end : _start_of_next(sentence, token, words)]
        misc = _spacing(after, sentence.text[: words[0].start] if i == 1 else "", i == len(words))
        if len(group) > 1 and token is group[0]:
            ids = (number[token.index], "-", number[group[-1].index])
            rows.append({**dict.fromkeys(_COLUMNS), "id": ids, "form": token.text, "misc": misc})
        edge_in = basic.get(token.index)
        rows.append(
            {
                "id": number[token.index],
                "form": token.text,
                "lemma": token.lemma or "_",
                "upos": token.pos or "_",
                "xpos": token.tag or "_",
                "feats": None,
                "head": number[edge_in.head] if edge_in else 0,
                "deprel": edge_in.relation if edge_in else "root",
                "deps": sorted(graph[token.index], key=lambda d: (d[1], d[0])) or None,
                "misc": None if len(group) > 1 else misc,
            }
        )
    metadata = {"text": " ".join(sentence.text.split()), "parser": sentence.parser or PARSER_NAME}
    return conllu.TokenList([conllu.Token(row) for row in rows], metadata=conllu.Metadata(metadata))


def _start_of_next(sentence: Sentence, token: Token, words: Sequence[Token]) -> int:
    return min((w.start for w in words if w.start >= token.end), default=len(sentence.text))


def _spacing(after: str, before: str, is_last: bool) -> dict[str, str] | None:
    """Return the white space after a token, and before the first, as MISC; a single space is the default."""
    misc = {}
    if before:
        misc["SpacesBefore"] = _escape(before)
    if not after:
        misc["SpaceAfter"] = "No"
    elif after != " " or is_last:
        misc["SpacesAfter"] = _escape(after)
    return misc or None


def _escape(blank: str) -> str:
    """Escape white space, rare kinds by their code point."""
    return "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04X}" if c.isspace() else c) for c in blank)
