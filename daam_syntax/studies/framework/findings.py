"""Findings: estimates that belong together, as a table and as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from daam_syntax.analysis import Estimate, adjust_p, estimate_difference, estimate_mean
from daam_syntax.analysis.formatting import format_p
from daam_syntax.util.wording import plural


def means_and_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    measure: str,
    labels: tuple[str, str, str],
    bounds: tuple[float, float],
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate the mean of a measure in each of two tables, and the difference of the means, paired by prompt.

    Parameters
    ----------
    first, second
        Tables with one row per observation.
    measure
        Column to average.
    labels
        Labels of the first mean, the second mean, and the first minus the second.
    bounds
        Lowest and highest value of the measure.
    """
    one, other, difference = labels
    return (
        estimate_mean(first, measure, label=one, bounds=bounds),
        estimate_mean(second, measure, label=other, bounds=bounds),
        estimate_difference(first, second, measure, label=difference, bounds=bounds),
    )


@dataclass(frozen=True)
class Finding:
    """One finding of a study: estimates in the same unit, reported and plotted together.

    Attributes
    ----------
    title
        Heading in the report.
    unit
        What is measured, with its unit or range.
    estimates
        The estimates; each has a label.
    notes
        Additional sentences.
    digits
        Number of decimal places.
    """

    title: str
    unit: str
    estimates: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = ()
    digits: int = 3


def estimates_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the estimates of a study as a table with one row per estimate.

    Returns
    -------
    pandas.DataFrame
        ``answer`` (the title of the finding), the fields of `Estimate`, and, after ``p``, ``p_adjusted``: the p-value
        corrected for all tests in the table by the method of Holm (1979).
    """
    rows = [
        {"answer": finding.title} | estimate.as_dict()
        for finding in findings
        for estimate in finding.estimates
    ]
    names = ["answer", *Estimate("", "", math.nan).as_dict()]
    table = pd.DataFrame(rows, columns=names)
    adjusted = adjust_p(table["p"].astype(float), "holm")
    table.insert(names.index("p") + 1, "p_adjusted", adjusted)
    return table


def sentences(finding: Finding, table: pd.DataFrame) -> tuple[str, ...]:
    """Report a finding in sentences, one per estimate, followed by its notes.

    Parameters
    ----------
    finding
        One of the findings in `table`.
    table
        The table that `estimates_table` returned.
    """
    rows = table[table["answer"] == finding.title].to_dict("records")
    return (*(sentence(row, digits=finding.digits) for row in rows), *finding.notes)


def sentence(row: Any, *, digits: int = 3) -> str:
    """Report an estimate in a sentence: effect, interval, adjusted p-value, n.

    Parameters
    ----------
    row
        A row of `estimates_table`, as a mapping.
    digits
        Number of decimal places.
    """
    label, reason = row["label"], row["reason"]
    label = label[:1].upper() + label[1:]
    n = f"{plural(row['n_prompts'], 'prompt')}, {plural(row['n_images'], 'image')}"
    if row["n_unpaired"]:
        n += f", excluding {plural(row['n_unpaired'], 'prompt')} that lack one side"
    if math.isnan(row["estimate"]):
        return f"{label}: undefined, {reason or 'no prompt has a value'} (n = {n})."
    if row["n_clusters"] not in (0, row["n_prompts"]):
        n += f", {row['n_clusters']} independent units"
    interval = f"no interval: {reason}"
    if not math.isnan(row["low"]):
        low, high = (_number(row[end], digits) for end in ("low", "high"))
        interval = f"{100 * row['level']:g} % interval {low} to {high}"
    p = row["p_adjusted"]
    if not math.isnan(p):
        interval += f"; Holm-adjusted p {format_p(p, equals=True)}"
    return f"{label}: {_number(row['estimate'], digits)} ({interval}; n = {n})."


def _number(value: float, digits: int) -> str:
    """Format a number with a true minus sign, and without a sign where it rounds to 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
