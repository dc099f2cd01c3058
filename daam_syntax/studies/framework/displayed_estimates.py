"""The columns of a study's estimates that one reads, with their methods as footnotes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from daam_syntax.analysis.formatting import format_interval, format_p
from daam_syntax.analysis.relations.displayed_summary import with_footnotes
from daam_syntax.studies.framework.findings import Finding, name_of

_INDENT = "\N{EM SPACE}"


def estimates_view(
    findings: Sequence[Finding], table: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Return the estimates of a study as the table that a report shows, and its footnotes.

    Parameters
    ----------
    findings
        The findings of the study.
    table
        What `estimates_table` returned for them.

    Returns
    -------
    pandas.DataFrame
        Texts: a row with the title of each finding, and below it a row for each of its estimates, with the estimate,
        its interval, the adjusted p-value, and the number of prompts.
    list of str
        The unit of each finding, and the method of each estimate or why it lacks an interval or a test, each with the
        letter that marks its rows.
    """
    levels = table["level"].dropna().unique()
    interval = f"{100 * levels[0]:g}% interval" if len(levels) == 1 else "interval"
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for finding in findings:
        own = table[table["answer"] == finding.title].to_dict("records")
        if not own:
            continue
        rows.append((finding.title, "", "", "", ""))
        notes.append(finding.unit)
        for row in own:
            name = f", {name_of(row['measure'])}" if finding.side_by_side else ""
            estimate = row["estimate"]
            undefined = math.isnan(estimate)
            rows.append(
                (
                    f"{_INDENT}{row['label']}{name}",
                    "-" if undefined else f"{estimate:z.{finding.digits}f}",
                    format_interval(row["low"], row["high"], finding.digits),
                    "-" if math.isnan(row["p_adjusted"]) else format_p(row["p_adjusted"]),
                    str(row["n_prompts"]),
                )
            )
            said = [
                row["method"],
                row["reason"],
                row["untested"] and f"not tested: {row['untested']}",
            ]
            notes.append("; ".join(filter(None, said)))
    marks, footnotes = with_footnotes(notes)
    view = pd.DataFrame(rows, columns=["mean or difference", "estimate", interval, "p (Holm)", "n"])
    first = view.columns[0]
    view[first] = [f"{text} {mark}".rstrip() for text, mark in zip(view[first], marks, strict=True)]
    return view, footnotes
