"""Lines of CoNLL-U as rows, and rows as lines, with every character kept.

Libraries for the format strip blanks such as the no-break space, and split at runs of spaces; here only tabs separate
columns, and only line feeds end lines. What a column cannot hold, such as a tab in a word, is written in column MISC
under a name that begins with ``Daam``, with escapes as in ``SpacesAfter``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

Id = int | tuple[int, str, int]
"""Number of a word; or first, "-" and last word of a multiword token; or word, "." and number of an empty node."""

_COLUMNS: Final = 10
_ID: Final = re.compile(r"(\d{1,9})(?:([-.])(\d{1,9}))?", re.ASCII)
_ESCAPES: Final = MappingProxyType(
    {"\\": "\\\\", " ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r", "|": "\\p"}
)  # how UDPipe writes white space in the last column
_PLAIN: Final = {short: long for long, short in _ESCAPES.items()}
_ESCAPED: Final = re.compile(r"\\(?:[\\stnrp]|u([0-9A-Fa-f]{4}))")  # treebanks also write \u00A0
_KEPT: Final = {name: f"Daam{name.capitalize()}" for name in ("form", "lemma", "upos", "xpos")} | {
    "deprel": "DaamDeprel",
    "deps": "DaamDeps",
}


@dataclass(frozen=True)
class Row:
    """A word, a multiword token, or an empty node.

    Attributes
    ----------
    id
        Its number or numbers.
    form, lemma, upos, xpos, deprel
        The columns with these names, "" where unspecified.
    head
        Number of the head, 0 for a root; None where unspecified.
    deps
        Relation and head of each edge of the enhanced graph.
    misc
        Column MISC by name.
    line
        Its line in the text, from 1.
    """

    id: Id
    form: str
    lemma: str = ""
    upos: str = ""
    xpos: str = ""
    head: int | None = None
    deprel: str = ""
    deps: tuple[tuple[str, Id], ...] = ()
    misc: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    @property
    def is_rebuilt(self) -> bool:
        """Whether MISC has what a comment with the text may not have: white space, or a word with a line feed."""
        return not {"SpacesAfter", "SpacesBefore", _KEPT["form"]}.isdisjoint(self.misc)

    def space(self, name: str) -> str:
        """Return the white space that MISC has under a name; a single space after a token is the default."""
        if name in self.misc:
            return unescaped(self.misc[name])
        return " " if name == "SpacesAfter" and self.misc.get("SpaceAfter") != "No" else ""


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, without its byte order mark; a text without line feeds has carriage returns."""
    text = text.removeprefix("\ufeff")
    return text.split("\n" if "\n" in text else "\r")


def blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each sentence with their numbers from 1, split at empty lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate((*lines_of(text), ""), start=1):
        line = line.removesuffix("\r")
        if line.strip(" "):
            block.append((number, line))
        elif block:
            if any(not line.startswith("#") for _, line in block):
                yield block
            block = []


def comments(lines: list[tuple[int, str]]) -> dict[str, str]:
    """Return the comments of a sentence of the form ``# name = value``."""
    found = {}
    for _, line in lines:
        name, equals, value = line.removeprefix("#").partition("=")
        if line.startswith("#") and equals:
            found[name.strip(" ")] = value.strip(" ")
    return found


def read_row(number: int, line: str) -> Row:
    """Read a line.

    Raises
    ------
    ValueError
        If it is not one of CoNLL-U; the message says why.
    """
    columns = line.split("\t")
    if len(columns) != _COLUMNS:
        raise ValueError(f"line {number} has {len(columns)} columns between tabs, not {_COLUMNS}")
    id_, form, lemma, upos, xpos, _, head, deprel, deps, misc = columns
    if not form:
        raise ValueError(f"line {number}: the word is empty; write _ for an unknown one")
    found = dict(_pair(each) for each in misc.split("|") if misc != "_")
    kept = {
        name: unescaped(found[own])
        for name, own in _KEPT.items()
        if own in found and name != "deps"
    }
    values = {
        "form": form,
        "lemma": _value(lemma) or form,
        "upos": _value(upos),
        "xpos": _value(xpos),
        "deprel": _value(deprel) or _default_relation(head),
    }
    is_kept = _KEPT["deps"] in found
    return Row(
        _id(number, id_),
        head=None if head == "_" else _head(number, head),
        deps=_deps(number, unescaped(found[_KEPT["deps"]]) if is_kept else deps, is_kept),
        misc=found,
        line=number,
        **{**values, **kept},
    )


def write_row(row: Row) -> str:
    """Return a row as a line, without its line feed."""
    head = "_" if row.head is None else str(row.head)
    form = _shown(row.form)
    # What is read from each column.
    defaults = {"lemma": form, "upos": "", "xpos": "", "deprel": _default_relation(head)}
    shown = {name: _shown(getattr(row, name)) for name in defaults}
    read = {name: _value(shown[name]) or default for name, default in defaults.items()}
    misc = dict(row.misc)
    if row.form != form.strip(
        " "
    ):  # spaces at its ends would be lost at the ends of the comment with the text
        misc[_KEPT["form"]] = _escaped(row.form)
    for name, value in read.items():
        if value != getattr(row, name) and isinstance(row.id, int):
            misc[_KEPT[name]] = _escaped(getattr(row, name))
    deps = "|".join(f"{shown_id(head)}:{label}" for label, head in row.deps) or "_"
    if any(_shown(label) != label or "|" in label for label, _ in row.deps):
        exact = "|".join(f"{shown_id(head)}:{_escaped(label)}" for label, head in row.deps)
        misc[_KEPT["deps"]], deps = _escaped(exact), "_"
    kept = "|".join(f"{name}={value}" for name, value in misc.items()) or "_"
    tags = (shown["lemma"], shown["upos"], shown["xpos"])
    return "\t".join((shown_id(row.id), form, *tags, "_", head, shown["deprel"], deps, kept))


def shown_id(value: Id) -> str:
    """Return a number of column ID as it is written."""
    return "".join(map(str, value)) if isinstance(value, tuple) else str(value)


def white_space(text: str) -> str:
    """Return white space, and any other text between words, as it is written in MISC."""
    return _escaped(text)


def in_one_line(text: str) -> str:
    """Return a text for a comment, with spaces for characters that would end a line or that UTF-8 lacks."""
    return "".join(" " if c in "\t\n\r" or "\ud800" <= c <= "\udfff" else c for c in text)


def unescaped(text: str) -> str:
    """Return the text that was escaped as in ``SpacesAfter``."""
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[0]) or chr(int(found[1], 16)), text)


def _escaped(text: str) -> str:
    """Escape white space, rare kinds by their code point, and what UTF-8 lacks."""
    return "".join(
        _ESCAPES.get(c) or (f"\\u{ord(c):04X}" if c.isspace() or "\ud800" <= c <= "\udfff" else c)
        for c in text
    )


def _shown(value: str) -> str:
    """Return a value as a column can hold it; "_" if it is empty."""
    return in_one_line(value) or "_"


def _default_relation(head: str) -> str:
    return "" if head in ("_", "0") else "dep"


def _value(column: str) -> str:
    return "" if column == "_" else column


def _pair(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def _id(number: int, text: str) -> Id:
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"line {number}: {text[:40]!r} in ID is not a number of a word")
    first, mark, last = found.groups()
    return (int(first), mark, int(last)) if mark else int(first)


def _head(number: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"line {number}: {text[:40]!r} in HEAD is not a number of a word")
    return int(text)


def _deps(number: int, column: str, is_escaped: bool) -> tuple[tuple[str, Id], ...]:
    """Read column DEPS; a label is everything after the first colon."""
    if column in ("", "_"):
        return ()
    edges = []
    for item in column.split("|"):
        head, _, label = item.partition(":")
        if not label and not is_escaped:
            raise ValueError(f"line {number}: {item[:40]!r} in DEPS has no relation")
        edges.append((unescaped(label) if is_escaped else label, _dep_head(number, head)))
    return tuple(edges)


def _dep_head(number: int, text: str) -> Id:
    try:
        found = _id(number, text)
    except ValueError:
        found = (0, "-", 0)
    if isinstance(found, tuple) and found[1] == "-":
        raise ValueError(f"line {number}: {text[:40]!r} in DEPS is not a number of a word")
    return found
