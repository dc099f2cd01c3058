"""Compare two parses of one prompt edge by edge."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pandas as pd

from daam_syntax.language.sentence import Edge, Sentence
from daam_syntax.util.arguments.checks import checked

COMPARISON_COLUMNS: Final = {
    "change": '"added", "removed", "relabeled" (another relation) or "re-attached" (another head)',
    "dependent": "Text of the dependent",
    "head_a": "Text of its head in the first parse; missing if the edge is added",
    "relation_a": "Relation in the first parse",
    "head_b": "Text of its head in the second parse; missing if the edge is removed",
    "relation_b": "Relation in the second parse",
    "dependent_start": "Start of the dependent, in characters of the prompt",
    "head_start_a": "Start of its head in the first parse",
    "head_start_b": "Start of its head in the second parse",
}
"""Columns of the comparison of two parses and their meanings."""

_Place = tuple[int, int]  # start and end of a word in the prompt, independent of tokenization
_Found = tuple[_Place, str]  # a head and the relation to it


@checked
def compare_parses(a: Sentence, b: Sentence, *, scheme: str = "ud") -> pd.DataFrame:
    """List the dependency edges that differ between two parses of one prompt.

    Words are matched by their characters, so the tokenizations may differ. The edges of a word that only one parse has
    are removed or added. If a word has several heads, edges in both parses cancel first, then edges to the same head
    are matched, then the remaining edges in order.

    Parameters
    ----------
    a, b
        The parses, for instance from two parsers, or a gold tree and a parsed one.
    scheme
        The dependency scheme of the edges.

    Returns
    -------
    pandas.DataFrame
        One row per change with the columns of `COMPARISON_COLUMNS`, in the order of the dependents; empty if nothing
        differs. A word that becomes a root loses its edge ("removed").

    Raises
    ------
    ValueError
        If the texts differ, or a parse lacks the scheme.
    TypeError
        If an argument is not a `Sentence`.
    """
    if not (isinstance(a, Sentence) and isinstance(b, Sentence)):
        raise TypeError(
            f"Expected two sentences, see `parse`, but got {type(a).__name__} and {type(b).__name__}."
        )
    if a.text != b.text:
        raise ValueError(f"Expected two parses of one prompt, but got {a.text!r} and {b.text!r}.")
    before, after = _heads(a, scheme), _heads(b, scheme)
    rows = []
    for dependent in sorted({*before, *after}):
        for old, new in _changes(before.get(dependent, []), after.get(dependent, [])):
            rows.append(
                {
                    "change": _name(old, new),
                    "dependent": a.text[slice(*dependent)],
                    "head_a": a.text[slice(*old[0])] if old else None,
                    "relation_a": old[1] if old else None,
                    "head_b": a.text[slice(*new[0])] if new else None,
                    "relation_b": new[1] if new else None,
                    "dependent_start": dependent[0],
                    "head_start_a": old[0][0] if old else None,
                    "head_start_b": new[0][0] if new else None,
                }
            )
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return table.astype({name: "Int64" for name in COMPARISON_COLUMNS if "start" in name})


def _heads(sentence: Sentence, scheme: str) -> dict[_Place, list[_Found]]:
    def place(index: int) -> _Place:
        return sentence[index].start, sentence[index].end

    found: dict[_Place, list[_Found]] = {}
    edges: tuple[Edge, ...] = sentence.edges_of(scheme)
    for edge in edges:
        found.setdefault(place(edge.dependent), []).append((place(edge.head), edge.relation))
    return found


def _changes(old: list[_Found], new: list[_Found]) -> list[tuple[_Found | None, _Found | None]]:
    """Match the old and new edges of a word, without unchanged ones."""
    lost = sorted((Counter(old) - Counter(new)).elements())
    won = sorted((Counter(new) - Counter(old)).elements())
    changes: list[tuple[_Found | None, _Found | None]] = []
    for same_head in (True, False):
        for before in list(lost):
            match = next((now for now in won if not same_head or now[0] == before[0]), None)
            if match is not None:
                lost.remove(before)
                won.remove(match)
                changes.append((before, match))
    return [*changes, *((before, None) for before in lost), *((None, now) for now in won)]


def _name(old: _Found | None, new: _Found | None) -> str:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    return "relabeled" if old[0] == new[0] else "re-attached"
