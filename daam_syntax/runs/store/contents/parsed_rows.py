"""Check that the rows of tables are those of the parses of their prompts, with possible values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from daam_syntax.analysis.tables.parse_columns import Columns, parsed_columns
from daam_syntax.language import Edge, Token
from daam_syntax.runs.store.contents.ranges import impossible, refuse_where
from daam_syntax.util.wording import one_line

_OF_TOKEN: Final = {"word": "text", "lemma": "lemma", "pos": "pos"}


class StoredParse:
    """The tokens and edges of a stored parse. `Sentence` checks more, which takes longer than reading the tables.

    Parameters
    ----------
    written
        The parse as JSON.
    prompt
        The prompt.

    Raises
    ------
    ValueError, LookupError, TypeError, ...
        If it is not a parse of the prompt.
    """

    def __init__(self, written: str, prompt: str) -> None:
        values = json.loads(written)
        self.tokens = [Token(**token) for token in values["tokens"]]
        self._edges: Mapping[str, list[dict[str, Any]]] = values["edges"]
        self._pairs: dict[str, Columns] = {}
        for number, token in enumerate(self.tokens):
            if token.index != number or prompt[token.start : token.end] != token.text:
                raise ValueError(f"token {number} is not in the prompt")

    def pairs(self, scheme: str) -> Columns:
        """Return the pairs of a scheme, see `parsed_columns`."""
        if scheme not in self._pairs:
            edges = [Edge(**edge) for edge in self._edges[scheme]]
            self._pairs[scheme] = parsed_columns(self.tokens, edges)
        return self._pairs[scheme]


def check_pairs(
    rows: pa.Table,
    path: Path,
    parses: Mapping[int, StoredParse],
    schemes: Sequence[str],
    rules: Sequence[str],
) -> None:
    """Check that a table has the pairs of the parses of its images, in order.

    Parameters
    ----------
    rows, path
        The table and its file.
    parses
        The parse of each image that was drawn, in order.
    schemes, rules
        Dependency schemes and threshold rules of the run.

    Raises
    ------
    FileError
        If it has other pairs.
    """
    try:
        n_rows, expected = _expected_pairs(parses, schemes, rules, rows.schema)
    except (LookupError, TypeError, AttributeError) as error:
        raise impossible(path, "the pairs of the parses", one_line(error)) from error
    if len(rows) != n_rows:
        raise impossible(path, f"the {n_rows:,} pairs of the parses", f"it has {len(rows):,}")
    for name, right in expected.items():
        what = "the pairs of the parses, in order,"
        refuse_where(pc.not_equal(rows[name], right), rows, ["image", name], path, what)


def _expected_pairs(
    parses: Mapping[int, StoredParse],
    schemes: Sequence[str],
    rules: Sequence[str],
    schema: pa.Schema,
) -> tuple[int, dict[str, pa.Array]]:
    """Return the number of pairs, and the columns of their table that do not depend on the maps."""
    columns: Columns = {}
    places: dict[tuple[int, str], np.ndarray] = {}  # of the pairs of a parse, which seeds share
    parts = [np.zeros(0, int)]
    keys: Columns = {"image": [], "scheme": [], "threshold": []}
    for image, parse in parses.items():
        for scheme in schemes:
            pairs = parse.pairs(scheme)
            key = id(parse), scheme
            if key not in places:
                for name, column in pairs.items():
                    columns.setdefault(name, []).extend(column)
                end = len(columns["kind"])
                places[key] = np.arange(end - len(pairs["kind"]), end)
            for rule in rules:
                parts.append(places[key])
                keys["image"].append(image)
                keys["scheme"].append(scheme)
                keys["threshold"].append(rule)
    part = pa.array(np.repeat(np.arange(len(parts) - 1), [len(rows) for rows in parts[1:]]))
    row = pa.array(np.concatenate(parts))
    expected = {
        name: pa.array(values, schema.field(name).type).take(index)
        for of_rows, index in ((keys, part), (columns, row))
        for name, values in of_rows.items()
    }
    return len(row), expected


def check_words(
    rows: pa.Table, path: Path, parses: Mapping[int, StoredParse], rules: Sequence[str]
) -> None:
    """Check that a table has each token of the parses of its images once for each rule; see `check_pairs`.

    Raises
    ------
    FileError
        If it has other words.
    """
    tokens = [token for parse in parses.values() for token in parse.tokens]
    counts = [len(parse.tokens) for parse in parses.values()]
    if len(rows) != len(tokens) * len(rules):
        found = f"it has {len(rows):,}"
        raise impossible(path, f"the {len(tokens) * len(rules):,} words of the parses", found)
    images = pa.array(list(parses), pa.int64())
    firsts = pa.array([sum(counts[:number]) for number in range(len(counts))], pa.int64())
    image = pc.index_in(rows["image"], value_set=images)
    rule = pc.index_in(rows["threshold"], value_set=pa.array(rules))
    refuse_where(pc.is_null(rule), rows, ["threshold"], path, f"the thresholds {list(rules)}")
    outside = pc.or_(
        pc.less(rows["index"], 0),
        pc.greater_equal(rows["index"], pa.array(counts, pa.int64()).take(image)),
    )
    refuse_where(outside, rows, ["image", "index"], path, "words of the parses")
    place = pc.add(firsts.take(image), rows["index"])
    for name, own in _OF_TOKEN.items():
        right = pa.array([getattr(token, own) for token in tokens], pa.string()).take(place)
        wrong = pc.not_equal(rows[name], right)
        refuse_where(wrong, rows, ["image", "index", name], path, "the words of the parses")
    if pc.count_distinct(pc.add(pc.multiply(place, len(rules)), rule)).as_py() != len(rows):
        raise impossible(path, "each word once for each threshold", "some are repeated")
