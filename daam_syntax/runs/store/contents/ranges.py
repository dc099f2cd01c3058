"""Check that the values of stored tables are in the ranges that are documented for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from daam_syntax.errors import FileError
from daam_syntax.maps.measures import BREADTH_MEASURES, PAIR_MEASURES

ANOTHER: Final = (
    "the folder is not as daam-syntax writes it, so draw the prompts again into another folder."
)
LARGEST_VALUE: Final = 1.5
"""More than a stored value: bicubic interpolation of probabilities between two grids gives at most 1.45."""

_ROUNDING: Final = 1e-6
_SHOWN: Final = 60  # characters of a value in a message

Range = tuple[float, float]

_MEASURES: Final[Mapping[str, Range]] = {
    name: (measure.low, measure.high) for name, measure in PAIR_MEASURES.items()
}
_MOST_SUBWORDS: Final = 10**6
_STATUSES: Final = ("mapped", "truncated", "unaligned")
_OF_MAP: Final = ("mean", "max", "peak_y", "peak_x", "area")
_OF_PAIR: Final[Mapping[str, Range]] = {
    **_MEASURES,
    "head_subwords": (0, _MOST_SUBWORDS),
    "dependent_subwords": (0, _MOST_SUBWORDS),
}
_OF_WORD: Final[Mapping[str, Range]] = {
    "n_subwords": (0, _MOST_SUBWORDS),
    "mean": (0, LARGEST_VALUE),
    "max": (0, LARGEST_VALUE),
    "peak_y": (0, 1),
    "peak_x": (0, 1),
    "area": (0, 1),
    **{name: (measure.low, measure.high) for name, measure in BREADTH_MEASURES.items()},
}


def refuse_where(
    wrong: pa.ChunkedArray, rows: pa.Table, columns: Sequence[str], path: Path, expected: str
) -> None:
    """Refuse a table if any of its rows is wrong.

    Parameters
    ----------
    wrong
        Whether each row is wrong; a missing value counts as true.
    rows
        The table.
    columns
        Columns whose values the message shows.
    path
        The file.
    expected
        What was expected, for the message.

    Raises
    ------
    FileError
        If a row is wrong.
    """
    number = pc.index(pc.fill_null(wrong, True), True).as_py()
    if number >= 0:
        values = {name: rows[name][number].as_py() for name in columns}
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        raise impossible(path, expected, f"row {number} has {shown}")


def impossible(path: Path, expected: str, found: str) -> FileError:
    """Return the error for a file with values that daam-syntax does not write."""
    return FileError(f"Expected {expected} in {path}, but {found}; {ANOTHER}")


def check_ranges(rows: pa.Table, ranges: Mapping[str, Range], path: Path) -> None:
    """Check that the numbers of columns are finite and in their ranges, or missing.

    Parameters
    ----------
    rows
        The table.
    ranges
        Range of each column, with both ends.
    path
        The file.

    Raises
    ------
    FileError
        If a number is not.
    """
    for name, (low, high) in ranges.items():
        least, most = _finite(low - _ROUNDING), _finite(high + _ROUNDING)
        column = rows[name]
        # A comparison with NaN is false.
        inside = pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))
        wrong = pc.invert(pc.fill_null(inside, True))
        refuse_where(wrong, rows, [name], path, f"{name} from {low:g} to {high:g}")


def check_pair_values(rows: pa.Table, path: Path) -> None:
    """Check that the measures and distances of pairs are possible, and that a missing measure has a reason.

    Raises
    ------
    FileError
        If they are not.
    """
    check_ranges(rows, _present(_OF_PAIR, rows), path)
    _check_distances(rows, path)
    measures = [name for name in _MEASURES if name in rows.column_names]
    has_all = reduce(pc.and_, (pc.is_valid(rows[name]) for name in measures))
    wrong = pc.not_equal(pc.equal(rows["reason"], ""), has_all)
    refuse_where(wrong, rows, [*measures, "reason"], path, "a reason where a measure is missing")


def _check_distances(rows: pa.Table, path: Path) -> None:
    """Check that a dependency is one edge long, and that unrelated words are further apart, or not joined."""
    distance, is_edge = rows["tree_distance"], pc.equal(rows["kind"], "dependency")
    is_one = pc.fill_null(pc.equal(distance, 1), False)
    is_further = pc.fill_null(pc.greater(distance, 1), True)
    wrong = pc.invert(pc.if_else(is_edge, is_one, is_further))
    expected = "a tree_distance of 1 for dependencies, and more for other pairs,"
    refuse_where(wrong, rows, ["kind", "tree_distance"], path, expected)


def check_word_values(rows: pa.Table, path: Path) -> None:
    """Check that the values of words are possible, and that words with a map, and only those, have subwords and values.

    Raises
    ------
    FileError
        If they are not.
    """
    check_ranges(rows, _present(_OF_WORD, rows), path)
    status = rows["status"]
    unknown = pc.invert(pc.is_in(status, value_set=pa.array(_STATUSES)))
    refuse_where(unknown, rows, ["status"], path, f"a status among {', '.join(_STATUSES)}")
    is_mapped = pc.equal(status, "mapped")
    for name in _OF_MAP:
        wrong = pc.not_equal(is_mapped, pc.is_valid(rows[name]))
        refuse_where(wrong, rows, ["status", name], path, f"{name} where a word has a map,")
    wrong = pc.not_equal(is_mapped, pc.greater(rows["n_subwords"], 0))
    refuse_where(wrong, rows, ["status", "n_subwords"], path, "subwords where a word has a map,")


def _present(ranges: Mapping[str, Range], rows: pa.Table) -> dict[str, Range]:
    return {name: range for name, range in ranges.items() if name in rows.column_names}


def _finite(value: float) -> float:
    return min(max(value, -sys.float_info.max), sys.float_info.max)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
