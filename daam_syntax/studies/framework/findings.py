"""Estimates that answer a question together: as sentences, and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from daam_syntax.analysis import Estimate, adjust_p, estimate_difference, estimate_mean
from daam_syntax.util.wording import plural


def compared(
    first: pd.DataFrame,
    second: pd.DataFrame,
    measure: str,
    labels: tuple[str, str, str],
    bounds: tuple[float, float],
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate the mean of a measure in two tables, and the first minus the second, paired within prompts."""
    one, other, difference = labels
    return (
        estimate_mean(first, measure, label=one, bounds=bounds),
        estimate_mean(second, measure, label=other, bounds=bounds),
        estimate_difference(first, second, measure, label=difference, bounds=bounds),
    )


@dataclass(frozen=True)
class Finding:
    """A part of a study's answer: estimates of one unit, which are read and drawn together.

    Attributes
    ----------
    title
        What they are about.
    unit
        What is measured, and in which unit or range.
    estimates
        Their labels say what each is.
    notes
        Further sentences.
    digits
        After the point.
    """

    title: str
    unit: str
    estimates: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = ()
    digits: int = 3


def estimates_table(answers: Sequence[Finding]) -> pd.DataFrame:
    """Return the estimates of a study as a table, one a row.

    Returns
    -------
    pandas.DataFrame
        ``answer`` (title), the fields of `Estimate`, and after ``p`` the column ``p_adjusted``: corrected by Holm
        (1979) for the number of all tests in the table.
    """
    rows = [
        {"answer": answer.title} | estimate.as_dict()
        for answer in answers
        for estimate in answer.estimates
    ]
    names = ["answer", *Estimate("", "", math.nan).as_dict()]
    table = pd.DataFrame(rows, columns=names)
    adjusted = adjust_p(table["p"].astype(float), "holm")
    table.insert(names.index("p") + 1, "p_adjusted", adjusted)
    return table


def sentences(answer: Finding, table: pd.DataFrame) -> tuple[str, ...]:
    """Say an answer in sentences.

    Parameters
    ----------
    answer
        One of those that `table` was made of.
    table
        See `estimates_table`.
    """
    rows = table[table["answer"] == answer.title].to_dict("records")
    return (*(sentence(row, digits=answer.digits) for row in rows), *answer.notes)


def sentence(row: Any, *, digits: int = 3) -> str:
    """Say an estimate in a sentence: effect, interval, adjusted p-value, n.

    Parameters
    ----------
    row
        A row of `estimates_table`, as a mapping.
    digits
        After the point.
    """
    label, reason = row["label"], row["reason"]
    label = label[:1].upper() + label[1:]
    n = f"{plural(row['n_prompts'], 'prompt')}, {plural(row['n_images'], 'image')}"
    if row["n_unpaired"]:
        n += f", {plural(row['n_unpaired'], 'prompt')} without both sides left out"
    if math.isnan(row["estimate"]):
        return f"{label}: undefined, {reason or 'no prompt has a value'} (n = {n})."
    if row["n_clusters"] not in (0, row["n_prompts"]):
        n += f", {row['n_clusters']} independent units"
    said = f"no interval: {reason}"
    if not math.isnan(row["low"]):
        low, high = (_number(row[end], digits) for end in ("low", "high"))
        said = f"{100 * row['level']:g} % interval {low} to {high}"
    p = row["p_adjusted"]
    if not math.isnan(p):
        said += "; Holm-adjusted p " + ("< 0.001" if p < 0.001 else f"= {p:.3f}")
    return f"{label}: {_number(row['estimate'], digits)} ({said}; n = {n})."


def _number(value: float, digits: int) -> str:
    """Return a number with a minus that is none before a value that rounds to 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
