"""The columns of a summary that one reads, with the notes as footnotes."""

from __future__ import annotations

import html
import math
import string
from collections.abc import Iterable, Sequence
from itertools import product
from textwrap import fill
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.formatting import format_interval, format_p

_NAMES: Final = {"iou": "IoU", "iod": "IoD", "ioh": "IoH", "soft_iou": "soft IoU"}
_CORRECTIONS: Final = {"holm": "p (Holm)", "bh": "p (BH)"}
_CONTEXT: Final = ("kind", "scheme", "threshold")
_DIGITS: Final = 3
_TERMINAL: Final = 80  # columns


class Summary(pd.DataFrame):
    """The table of `summarize`: a DataFrame with all columns that shows those that one reads.

    ``print(summary)`` and a notebook show `view`, with the notes as footnotes. ``pd.DataFrame(summary)`` shows every
    column. Rows of a summary, and a copy, are summaries; with other columns it looks like any DataFrame.
    """

    @property
    def _constructor(self) -> type[Summary]:
        return Summary

    def view(self) -> pd.DataFrame:
        """Return the columns that one reads, as text: group, n, mean, difference, interval, and p-values."""
        return summary_view(self)[0]

    def __repr__(self) -> str:
        if not is_summary(self):
            return super().__repr__()
        view, notes = summary_view(self)
        short = {name: name.replace("difference", "diff.") for name in view.columns}
        text = view.rename(columns=short).to_string(index=False, max_colwidth=None)
        return "\n".join([text, *(fill(line, _TERMINAL) for line in [*notes, _rest(self)])])

    def to_page(self) -> str:
        """Return `view` and its footnotes as HTML, which a notebook shows."""
        view, notes = summary_view(self)
        below = "<br>".join(map(html.escape, [*notes, _rest(self)]))
        return f"{view.to_html(index=False, border=0)}<p><small>{below}</small></p>"

    def _repr_html_(self) -> str | None:
        if is_summary(self):
            return self.to_page()
        shown: Any = pd.DataFrame(self)
        return shown._repr_html_()


def is_summary(table: pd.DataFrame) -> bool:
    """Whether a table has the columns and the attributes from which `summary_view` is made."""
    needed = {
        "kind",
        "n_prompts",
        "low",
        "high",
        "difference",
        "difference_low",
        "p_adjusted",
        "note",
    }
    return "measure" in table.attrs and {*needed, table.attrs["measure"]} <= set(table.columns)


def summary_view(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns of a summary that one reads, as text, and its notes as footnotes.

    Parameters
    ----------
    table
        The result of `summarize`, or some of its rows.

    Returns
    -------
    pandas.DataFrame
        The groups, ``n``, the mean, its difference from the control with its interval and adjusted p-value, and the
        difference and p-value by the corrected measure, if there is one. Kind, scheme, and threshold are shown if
        several rows differ in them. The number of prompts is that of the difference, or else that of the mean.
    list of str
        The notes, each with the letter that marks its rows.
    """
    made = table.attrs
    measure, corrected = made["measure"], made.get("corrected")
    name = _NAMES.get(measure, measure.replace("_", " "))
    groups = [
        column
        for column in list(table.columns)[: list(table.columns).index("n_prompts")]
        if column not in _CONTEXT
        or (table[column].nunique() > 1 and not (column == "kind" and _kinds_follow(table)))
    ] or ["kind"]
    marks, footnotes = with_footnotes(table["note"].fillna(""))
    shown: dict[str, Sequence[Any]] = {
        column: table[column].astype(str).tolist() for column in groups
    }
    shown[groups[-1]] = [
        f"{text} {mark}".strip() for text, mark in zip(shown[groups[-1]], marks, strict=True)
    ]
    paired = table["n_paired"] if "n_paired" in table.columns else table["n_prompts"]
    sizes = paired.astype("Float64").fillna(0.0).to_numpy(float)
    shown["n"] = [
        str(int(size or other)) for size, other in zip(sizes, table["n_prompts"], strict=True)
    ]
    shown[name] = _numbers(table[measure])
    shown["difference"] = _numbers(table["difference"])
    ends = zip(table["difference_low"], table["difference_high"], strict=True)
    shown[f"{100 * made['level']:g}% interval"] = [format_interval(*pair, _DIGITS) for pair in ends]
    p = _CORRECTIONS.get(made["correction"], "p")
    shown[p] = _p_values(table, "p_adjusted")
    if corrected and "corrected" in table.columns:
        beside = _NAMES.get(corrected, corrected.replace("_", " "))
        shown[f"{beside} difference"] = _numbers(table["corrected"])
        shown[f"p of {beside}"] = _p_values(table, "corrected_p_adjusted")
    return pd.DataFrame(shown), footnotes


def with_footnotes(notes: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return a mark for each note, "(a)" for the first and "" for none, and the footnotes: "(a): the note"."""
    letters: dict[str, str] = {}
    marks = [_mark(note, letters) for note in notes]
    return marks, [f"{letter}: {note}" for note, letter in letters.items()]


def _kinds_follow(table: pd.DataFrame) -> bool:
    """Whether the relation of each row says its kind: dependencies, and one control without relations of its own."""
    others = table.loc[table["kind"] != "dependency", "kind"]
    return (
        "relation" in table.columns
        and (others.astype(str) == table.loc[others.index, "relation"].astype(str)).all()
    )


def _mark(note: str, letters: dict[str, str]) -> str:
    """Return the letter of a note, a new one for a new note, and "" without a note."""
    if note and note not in letters:
        pool = (*string.ascii_lowercase, *map("".join, product(string.ascii_lowercase, repeat=2)))
        letters[note] = f"({pool[len(letters)]})"
    return letters.get(note, "")


def _numbers(values: pd.Series) -> list[str]:
    return ["-" if math.isnan(v) else f"{v:z.{_DIGITS}f}" for v in values.astype(float)]


def _p_values(table: pd.DataFrame, column: str) -> list[str]:
    """Return p-values as text; one that could only be 1, because there is one prompt, is left out."""
    least = table["least_p"] if "least_p" in table.columns else pd.Series(0.0, table.index)
    return [
        "-" if math.isnan(value) or possible >= 1 else format_p(value, _DIGITS)
        for value, possible in zip(table[column], least, strict=True)
    ]


def _rest(table: pd.DataFrame) -> str:
    return f"Differences are from {table.attrs['control']} pairs. All {table.shape[1]} columns: pd.DataFrame(summary)."
