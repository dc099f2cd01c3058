"""Tables for papers and web pages: Markdown, HTML, CSV and LaTeX, with notes on how a summary was made."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
from tabulate import tabulate

from daam_syntax.analysis.checks import check_table
from daam_syntax.analysis.formatting import cluster_noun, format_p
from daam_syntax.analysis.relations.displayed_summary import is_summary, summary_view
from daam_syntax.analysis.relations.estimates import FEW_STRUCTURES
from daam_syntax.errors import FileError
from daam_syntax.util.arguments.checks import OWN, checked, whole
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\n")  # carriage returns are line feeds by then
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_QUANTITY: Final = re.compile(rf"-|(< )?{_NUMBER.pattern}( to {_NUMBER.pattern})?")
"""A number, a p-value, an interval, or a dash, as text."""

_MINUS: Final = re.compile(r"(?<![eE])-")

_PAGE: Final = 40
"""Most rows that fit on a page."""

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
    "\N{EM SPACE}": r"\quad{}",
    "\N{MINUS SIGN}": "$-$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "∩": r"$\cap$",
    "∪": r"$\cup$",
    "√": r"$\surd$",
    "Σ": r"$\Sigma$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "λ": r"$\lambda$",
}
"""Escapes of LaTeX. Those of pandas leave out <, > and |, which the default font encoding prints as other signs.

pdfLaTeX knows no mathematical signs and no Greek letters outside of formulas.
"""


@checked
def table_notes(table: pd.DataFrame) -> list[str]:
    """Return notes that a reader of a summary needs: sample, intervals, test and correction.

    Parameters
    ----------
    table
        The result of `summarize`, or some of its rows and columns.

    Returns
    -------
    list of str
        Sentences; empty for a table that does not record how it was made.
    """
    made = table.attrs
    if "measure" not in made:
        return []
    clusters = made["cluster"]
    units = [clusters] if isinstance(clusters, str) else clusters
    unit = " and ".join(map(cluster_noun, units))
    two_way = len(units) == 2
    level = f"{100 * made['level']:g}%"
    interval = "t, two-way clustered errors" if two_way else "symmetric studentized bootstrap"
    test = (
        f"t test and {level} interval"
        if two_way
        else f"sign flips, and the {level} interval that they do not reject,"
    )
    exchanged = made["control"] == "exchanged"
    pairs = "the same words with exchanged partners" if exchanged else f"{made['control']} pairs"
    corrections = {"holm": "Holm", "bh": "Benjamini-Hochberg"}
    notes = ["Means over prompts; every prompt has the same weight."]
    if "n_prompts" in table.columns and len(table):
        low, high = table["n_prompts"].min(), table["n_prompts"].max()
        notes.append(f"n = {f'{low} to ' if low < high else ''}{plural(high, 'prompt')}.")
    if "low" in table.columns:
        notes.append(f"Intervals of {made['measure']}: {level}, {interval}, clustered by {unit}.")
    notes += [
        f"Differences from {pairs} in the same images: {test} by {unit}.",
        "p-values "
        + (
            f"adjusted by {corrections[made['correction']]} for the tests within scheme and threshold that could have "
            "succeeded."
            if made["correction"] in corrections
            else "not adjusted for multiple tests."
        ),
    ]
    if made.get("corrected"):
        notes.append(
            f"The same differences by {made['corrected']}: areas alone cannot move them if maps share no place."
        )
    return notes


@checked(digits=whole(0, 15))
def to_markdown(
    table: pd.DataFrame, *, digits: int = 3, notes: Sequence[str] | None = None, caption: str = ""
) -> str:
    """Return a table as Markdown: a pipe table with right-aligned numbers.

    Parameters
    ----------
    table
        Any table; its index is left out.
    digits
        Digits after the decimal point of floating-point numbers. Missing values are a dash, and p-values that would
        round to 0 are "< 0.001".
    notes
        Sentences below the table; those of `table_notes` if None.
    caption
        Sentence above the table.
    """
    text = _tabulated(table, digits, "pipe", _markdown)
    below = [_markdown(note) for note in _notes(table, notes)]
    parts = [_markdown(caption), text, " ".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"


@checked(digits=whole(0, 15))
def to_html(
    table: pd.DataFrame, *, digits: int = 3, notes: Sequence[str] | None = None, caption: str = ""
) -> str:
    """Return a table as an HTML ``<table>`` with all text escaped; see `to_markdown` for the parameters.

    Cells with numbers are aligned by styles of their own: unlike the style sheets of pandas' ``Styler``, these survive
    wherever the table is pasted.
    """
    # tabulate has no captions or notes. Its headers of text columns have no style; browsers would center them.
    title = f"\n<caption>{html.escape(caption)}</caption>" if caption else ""
    start = f'<table style="text-align: left">{title}'
    text = _tabulated(table, digits, "html").replace("<table>", start, 1)
    below = "".join(f"<p><small>{html.escape(note)}</small></p>\n" for note in _notes(table, notes))
    return f"{text}\n{below}"


@checked
def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV with all digits that is safe to open in a spreadsheet.

    A text or column name that a spreadsheet would run as a formula (it begins with =, +, - or @ and is not a number) is
    prefixed with an apostrophe. Numbers are unchanged. To read data back exactly, write them with pandas instead.
    """
    safe = table.copy()
    safe.columns = pd.Index([_neutral(str(column)) for column in table.columns])
    for place, column in enumerate(table.columns):
        if not pd.api.types.is_numeric_dtype(table[column].dtype):
            safe.isetitem(place, [_neutral(value) for value in table.iloc[:, place]])
    return safe.to_csv(index=False, lineterminator="\n")


@checked(digits=whole(0, 15))
def to_latex(
    table: pd.DataFrame,
    *,
    digits: int = 3,
    notes: Sequence[str] | None = None,
    caption: str = "",
    label: str = "",
    compact: bool = False,
) -> str:
    r"""Return a table as a LaTeX ``table`` with the rules of booktabs (``\usepackage{booktabs}``).

    A table of more than 40 rows becomes a ``longtable`` (``\usepackage{longtable}``), which can span pages. All text is
    escaped: a % or _ in a prompt cannot break the document. Non-Latin scripts need XeLaTeX or LuaLaTeX, and a font that
    contains them.

    Parameters
    ----------
    table, digits, notes, caption
        See `to_markdown`.
    label
        Name for ``\ref``.
    compact
        Whether to use small type, narrow gaps, and a line for each word of a heading. The eight columns of a summary
        then fit the text of an ``article``. A table that is wider than the column it stands in, as in a document with
        two columns, is scaled down to it, for which LaTeX needs ``\usepackage{graphicx}``.
    """
    sides = ["r" if right else "l" for right in _numeric(table)]
    header = [_latex(str(column)) for column in table.columns]
    if compact:
        header = [_stacked(text, side) for text, side in zip(header, sides, strict=True)]
    rows = [[_latex_cell(cell) for cell in row] for row in _cells(table, digits)]
    for row in (header, *rows):
        # An empty group, because LaTeX reads a row that begins with a bracket as an option of the row above.
        row[:1] = [f"{{}}{cell}" for cell in row[:1]]
    frame = pd.DataFrame(rows, columns=header)
    is_long = len(table) > _PAGE
    text = frame.style.hide(axis="index").to_latex(
        column_format=f"@{{}}{''.join(sides)}@{{}}" if compact else "".join(sides),
        hrules=True,
        caption=_latex(caption) or None,
        label=label or None,
        **({"environment": "longtable"} if is_long else _FLOAT),
    )
    if compact and len(header) > 1:
        text = _with_wide_headings(text, len(header))
    if compact:
        text = f"{{{_COMPACT}{text}}}\n" if is_long else _fitted(text)
    below = " ".join(_latex(note) for note in _notes(table, notes))
    if not below:
        return text
    lines = rf"\par\smallskip{{\footnotesize {below}\par}}" + "\n"
    end = "" if is_long else "\\end{table}\n"
    return text.removesuffix(end) + lines + end


_COMPACT: Final = "\\footnotesize\\setlength{\\tabcolsep}{3pt}\n"
_BOXED: Final = "\\setbox2=\\hbox{\\begin{tabular}"
_SCALED: Final = (
    "\\end{tabular}}\n\\ifdim\\wd2>\\linewidth\\resizebox{\\linewidth}{!}{\\box2}\\else\\box2\\fi"
)
_WITHOUT_ADVICE: Final = FEW_STRUCTURES.partition(":")[
    0
]  # advice to the author is not for the paper's readers
_FLOAT: Final[dict[str, Any]] = {"position": "htbp", "position_float": "centering"}
_WRITERS: Final[Mapping[str, Callable[..., str]]] = {
    ".md": to_markdown,
    ".html": to_html,
    ".csv": to_csv,
    ".tex": to_latex,
}


@checked(table=OWN)
def write_table(
    table: pd.DataFrame,
    path: str | Path,
    *,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    style: Literal["full", "paper"] = "full",
) -> None:
    """Write a table to a file in the format of its suffix: .md, .html, .csv or .tex.

    Parameters
    ----------
    table
        Any table. Except in CSV, a table of `summarize` gets notes on its sample, intervals, test and correction.
    path
        The file. It is written completely or not at all.
    columns
        Columns to write, in this order, or a mapping from columns to their headings; all columns if None.
    style
        "full": the columns as they are. "paper": of a table of `summarize`, the columns that one reads, with readable
        headings and the notes of its rows as footnotes; of any other table, headings with spaces for underscores. In
        LaTeX, it is compact: see `to_latex`.

    Raises
    ------
    FileError
        If the format is unknown or the file cannot be written.
    ValueError
        If there is no such style, or a column is missing.
    """
    check_table(table, "a table (of a regression: its `terms`)", may_mix_maps=True)
    if style not in ("full", "paper"):
        raise ValueError(f'Expected style="full" or style="paper", but got {style!r}.')
    shown, notes = _paper(table, columns is None) if style == "paper" else (table, None)
    shown = _chosen(shown, columns)
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise FileError(
            f"Expected a file that ends in {', '.join(_WRITERS)}, but got {target.name!r}."
        )
    with whole_file(target) as partial:
        options: dict[str, Any] = {} if notes is None or writer is to_csv else {"notes": notes}
        if writer is to_latex and style == "paper":
            options["compact"] = True
        text = writer(shown, **options)
        partial.write_text(text, encoding="utf-8", newline="")


def readable_summary(summary: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns of a summary that one reads, as text, with the notes of its rows and of the table."""
    view, footnotes = summary_view(summary)
    about = table_notes(summary.drop(columns=["low", "high"]))  # the view has no intervals of means
    return view, [*(f"{note}." for note in footnotes), *about]


def _paper(table: pd.DataFrame, whole: bool) -> tuple[pd.DataFrame, list[str] | None]:
    """Return a table with readable headings, and its footnotes if it is a summary."""
    if whole and is_summary(table):
        view, notes = readable_summary(table)
        return view, [note.replace(FEW_STRUCTURES, _WITHOUT_ADVICE) for note in notes]
    headings = {column: str(column).replace("_", " ") for column in table.columns}
    return (table if not whole else table.rename(columns=headings)), None


def _chosen(table: pd.DataFrame, columns: Sequence[str] | Mapping[str, str] | None) -> pd.DataFrame:
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(
            f"Expected columns of the table ({', '.join(map(str, table.columns))}), but it has no {', '.join(missing)}."
        )
    chosen = table[list(columns)]
    return chosen.rename(columns=dict(columns)) if isinstance(columns, Mapping) else chosen


def _notes(table: pd.DataFrame, notes: Sequence[str] | None) -> Sequence[str]:
    return table_notes(table) if notes is None else notes


def _numeric(table: pd.DataFrame) -> list[bool]:
    """Return which columns are aligned on the right: numbers, also as text."""
    return [_is_numeric(table.iloc[:, place]) for place in range(table.shape[1])]


def _is_numeric(values: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return not pd.api.types.is_bool_dtype(values.dtype)
    filled = [v for v in values if v != ""]  # the row of a heading is empty
    return bool(filled) and all(isinstance(v, str) and _QUANTITY.fullmatch(v) for v in filled)


def _cells(table: pd.DataFrame, digits: int) -> list[list[str]]:
    """Return the values of a table as text, row by row."""
    columns = [
        [_cell(value, str(name), digits) for value in table.iloc[:, place]]
        for place, name in enumerate(table.columns)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _tabulated(
    table: pd.DataFrame, digits: int, style: str, escape: Callable[[str], str] = str
) -> str:
    """Return a table in a format of tabulate, with numbers on the right."""
    rows = [[escape(cell) for cell in row] for row in _cells(table, digits)]
    sides = ["right" if right else "left" for right in _numeric(table)]
    return str(
        tabulate(
            rows,
            headers=[escape(str(column)) for column in table.columns],
            tablefmt=style,
            colalign=sides if rows else None,  # tabulate 0.9 cannot align columns without rows
            disable_numparse=True,  # cells are formatted already
        )
    )


def _cell(value: Any, name: str, digits: int) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "-"
    if isinstance(value, float):
        return format_p(value, digits) if name in ("p", "p_adjusted") else f"{value:z.{digits}f}"
    return str(value)


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is; tabulate escapes nothing in pipe tables."""
    flat = " ".join(text.split())
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", flat)


def _with_wide_headings(text: str, n_columns: int) -> str:
    """Let the first cell of a row whose other cells are empty, a heading of rows, span all columns of a LaTeX table."""
    row = re.compile(rf"^(.+?)(?:{' & '}){{{n_columns - 1}}} \\\\$", re.MULTILINE)
    return row.sub(rf"\\multicolumn{{{n_columns}}}{{@{{}}l@{{}}}}{{\1}} \\\\", text)


def _fitted(text: str) -> str:
    """Return a LaTeX table in small type that is scaled down where it is wider than its column."""
    boxed = text.replace(r"\begin{tabular}", _BOXED, 1).replace(r"\end{tabular}", _SCALED, 1)
    return boxed.replace("\n", f"\n{_COMPACT}", 1)


def _stacked(heading: str, side: str) -> str:
    """Return a heading in LaTeX with a line for each word, aligned on a side, "l" or "r"."""
    lines = r"\\".join(heading.replace("difference", "diff.").split(" "))
    return rf"\shortstack[{side}]{{{lines}}}" if " " in heading else lines


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(text: str) -> str:
    """Return a cell in LaTeX: an en dash for a missing value, and a minus sign before negative numbers."""
    if text == "-":
        return "--"
    escaped = _latex(text)
    return _MINUS.sub("$-$", escaped) if _QUANTITY.fullmatch(text) else escaped


def _neutral(value: object) -> object:
    """Return a value that a spreadsheet does not run as a formula; only texts change."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare \r would end the row
    if value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
