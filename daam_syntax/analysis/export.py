"""Tables for papers and pages: Markdown, HTML, CSV and LaTeX, with notes on what they rest on."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.checks import check_table
from daam_syntax.errors import FileError
from daam_syntax.util.whole_files import whole_file

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\n")  # after carriage returns became line feeds
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PAGE: Final = 40
"""Rows that a page takes."""

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
    "\r": " ",
}


def table_notes(table: pd.DataFrame) -> list[str]:
    """Return what a reader must know of a summary: sample, intervals, test and correction.

    Parameters
    ----------
    table
        What `summarize` gave, or a part of its rows and columns.

    Returns
    -------
    list of str
        Sentences; empty for a table that does not say how it was made.
    """
    made = table.attrs
    if "measure" not in made:
        return []
    clusters = made["cluster"]
    units = [clusters] if isinstance(clusters, str) else clusters
    unit = " and ".join({"prompt_id": "prompt"}.get(c, c.replace("_", " ")) for c in units)
    two_way = len(units) == 2
    interval = "t, two-way clustered errors" if two_way else "symmetric studentized bootstrap"
    test = "t test" if two_way else "sign-flip permutation"
    corrections = {"holm": "Holm", "bh": "Benjamini-Hochberg"}
    notes = ["Means over prompts, each of which weighs the same."]
    if "n_prompts" in table.columns and len(table):
        low, high = table["n_prompts"].min(), table["n_prompts"].max()
        notes.append(f"n = {low} prompts." if low == high else f"n = {low} to {high} prompts.")
    notes += [
        f"Intervals of {made['measure']}: {100 * made['level']:g}%, {interval}, clustered by {unit}.",
        f"Differences from {made['control']} pairs of the same prompts: {test} by {unit}.",
        "p-values "
        + (
            f"adjusted by {corrections[made['correction']]} within scheme and threshold."
            if made["correction"] in corrections
            else "not adjusted for their number."
        ),
    ]
    return notes


def to_markdown(
    table: pd.DataFrame, *, digits: int = 3, notes: Sequence[str] | None = None, caption: str = ""
) -> str:
    """Return a table as Markdown (pipe table, numbers to the right).

    Parameters
    ----------
    table
        Any table; its index is left out.
    digits
        Digits after the point of floating-point numbers. Missing values are a dash; p-values that would round to 0
        are "< 0.001".
    notes
        Sentences below it; those of `table_notes` if None.
    caption
        Sentence above it.
    """
    header = [_markdown(str(column)) for column in table.columns]
    rules = ["---:" if right else "---" for right in _numeric(table)]
    rows = [[_markdown(cell) for cell in row] for row in _cells(table, digits)]
    lines = ["| " + " | ".join(row) + " |" for row in (header, rules, *rows)]
    below = [_markdown(note) for note in _notes(table, notes)]
    parts = [_markdown(caption), "\n".join(lines), " ".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(
    table: pd.DataFrame, *, digits: int = 3, notes: Sequence[str] | None = None, caption: str = ""
) -> str:
    """Return a table as an HTML ``<table>``, everything escaped; see `to_markdown` for the parameters."""
    alignment = ["right" if right else "left" for right in _numeric(table)]

    def row(cells: Sequence[str], tag: str) -> str:
        inner = "".join(
            f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(cells, alignment, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "\n".join(row(cells, "td") for cells in _cells(table, digits))
    head = row([str(column) for column in table.columns], "th")
    title = f"<caption>{html.escape(caption)}</caption>\n" if caption else ""
    below = "".join(f"<p><small>{html.escape(note)}</small></p>\n" for note in _notes(table, notes))
    return f"<table>\n{title}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n{below}"


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV with all digits, safe to open in a spreadsheet.

    A text that a spreadsheet would run as a formula (it begins with =, +, - or @, and is no number) gets an apostrophe
    before it; so do names of columns. Numbers are as they are. To read data back exactly, write them with pandas.
    """
    safe = table.copy()
    safe.columns = pd.Index([_neutral(str(column)) for column in table.columns])
    for place, column in enumerate(table.columns):
        if not pd.api.types.is_numeric_dtype(table[column].dtype):
            safe.isetitem(place, [_neutral(value) for value in table.iloc[:, place]])
    return safe.to_csv(index=False, lineterminator="\n")


def to_latex(
    table: pd.DataFrame,
    *,
    digits: int = 3,
    notes: Sequence[str] | None = None,
    caption: str = "",
    label: str = "",
) -> str:
    r"""Return a table as a LaTeX ``table`` with the rules of booktabs (``\usepackage{booktabs}``).

    One of more than 40 rows becomes a ``longtable`` (``\usepackage{longtable}``), which goes over pages. Everything in
    it is escaped: a % or _ of a prompt cannot break it. Scripts beyond Latin need XeLaTeX or LuaLaTeX and a font that
    has them.

    Parameters
    ----------
    table, digits, notes, caption
        See `to_markdown`.
    label
        What ``\ref`` finds it by.
    """
    alignment = "".join("r" if right else "l" for right in _numeric(table))

    def row(cells: Sequence[str]) -> str:
        # An empty group, because a row that begins with a bracket would be read as an option of the line before.
        return "{}" + " & ".join(map(_latex_cell, cells)) + r" \\"

    title = rf"\caption{{{_latex(caption)}}}" if caption else ""
    title += rf"\label{{{label}}}" if label else ""
    head = [r"\toprule", row([str(column) for column in table.columns]), r"\midrule"]
    body = [row(cells) for cells in _cells(table, digits)]
    below = " ".join(_latex(note) for note in _notes(table, notes))
    notes_below = rf"\par\smallskip{{\footnotesize {below}\par}}" if below else ""
    if len(table) > _PAGE:
        lines = [rf"\begin{{longtable}}{{{alignment}}}", rf"{title} \\" if title else ""]
        lines += [*head, r"\endhead", r"\bottomrule", r"\endfoot", *body]
        lines += [r"\end{longtable}", notes_below]
    else:
        lines = [r"\begin{table}[htbp]", r"\centering", title]
        lines += [rf"\begin{{tabular}}{{{alignment}}}", *head, *body, r"\bottomrule"]
        lines += [r"\end{tabular}", notes_below, r"\end{table}"]
    return "\n".join(line for line in lines if line) + "\n"


_WRITERS: Final[Mapping[str, Callable[[pd.DataFrame], str]]] = {
    ".md": to_markdown,
    ".html": to_html,
    ".csv": to_csv,
    ".tex": to_latex,
}


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table in the format that the file's suffix names: .md, .html, .csv or .tex.

    Parameters
    ----------
    table
        Any table. One of `summarize` gets notes on its sample, intervals, test and correction (but in CSV).
    path
        The file; written whole or not at all.

    Raises
    ------
    FileError
        If there is no such format, or the file cannot be written.
    """
    check_table(table, "a table")
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise FileError(
            f"Expected a file that ends in {', '.join(_WRITERS)}, but got {target.name!r}."
        )
    with whole_file(target) as partial:
        partial.write_text(writer(table), encoding="utf-8", newline="")


def _notes(table: pd.DataFrame, notes: Sequence[str] | None) -> Sequence[str]:
    return table_notes(table) if notes is None else notes


def _numeric(table: pd.DataFrame) -> list[bool]:
    return [
        pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
        for dtype in table.dtypes
    ]


def _cells(table: pd.DataFrame, digits: int) -> list[list[str]]:
    """Return the table's values as text, row by row."""
    columns = [
        [_cell(value, str(name), digits) for value in table.iloc[:, place]]
        for place, name in enumerate(table.columns)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(value: Any, name: str, digits: int) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "-"
    if isinstance(value, float):
        least = 10.0**-digits
        if name in ("p", "p_adjusted") and value < least:
            return f"< {least:.{digits}f}"
        return f"{value:.{digits}f}"
    return str(value)


def _markdown(text: str) -> str:
    flat = " ".join(text.split())
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", flat)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(text: str) -> str:
    """Return a cell with a dash where a value is missing, and a minus that is no hyphen before a number."""
    if text == "-":
        return "--"
    return f"$-${text[1:]}" if text.startswith("-") and _NUMBER.fullmatch(text) else _latex(text)


def _neutral(value: object) -> object:
    """Return a text that no spreadsheet takes for a formula; anything else as it is."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")  # bare, it would end the row
    if value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
