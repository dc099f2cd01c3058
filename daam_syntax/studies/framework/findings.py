"""Findings: estimates that belong together, as a table and as sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis import Estimate, adjust_p, estimate_difference, estimate_mean
from daam_syntax.analysis.formatting import format_p
from daam_syntax.util.wording import plural

_NAMES: Final = {"iou": "IoU", "iod": "IoD", "ioh": "IoH", "soft_iou": "soft IoU"}

_MOST_DIGITS: Final = 6

ALPHA: Final = 0.05
"""An adjusted p-value up to this one is a finding."""


def means_and_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    measure: str,
    labels: tuple[str, str, str],
    bounds: tuple[float, float],
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate the mean of a measure in each of two tables, and the difference of the means, paired by image.

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
    side_by_side
        Whether the estimates come in pairs: one by a measure that areas of masks can move, then the same by one that
        they cannot move. A pair is one sentence, which says first where the two disagree.
    margin
        The margin of the tests of equivalence, if there are any, see `Estimate.p_equivalent`.
    """

    title: str
    unit: str
    estimates: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = ()
    digits: int = 3
    side_by_side: bool = False
    margin: float | None = None


def estimates_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the estimates of a study as a table with one row per estimate.

    Returns
    -------
    pandas.DataFrame
        ``answer`` (the title of the finding), the fields of `Estimate`, and, after ``p``, ``p_adjusted``: the p-value
        corrected for all tests in the table that could have succeeded (Holm 1979, Tarone 1990), see `adjust_p`.
        ``p_equivalent`` is corrected in the same way for the number of tests of equivalence.
    """
    rows = [
        {"answer": finding.title} | estimate.as_dict()
        for finding in findings
        for estimate in finding.estimates
    ]
    names = ["answer", *Estimate("", "", math.nan).as_dict()]
    table = pd.DataFrame(rows, columns=names)
    table["imbalances"] = [", ".join(each) for each in table["imbalances"]]
    adjusted = adjust_p(table["p"].astype(float), "holm", least=table["least_p"].astype(float))
    table.insert(names.index("p") + 1, "p_adjusted", adjusted)
    table["p_equivalent"] = adjust_p(table["p_equivalent"].astype(float), "holm")
    return table


def sentences(finding: Finding, table: pd.DataFrame) -> tuple[str, ...]:
    """Report a finding in sentences, one per estimate or pair of estimates, followed by its notes.

    Parameters
    ----------
    finding
        One of the findings in `table`.
    table
        The table that `estimates_table` returned.
    """
    rows = table[table["answer"] == finding.title].to_dict("records")
    options: dict[str, Any] = {"digits": finding.digits, "margin": finding.margin}
    if finding.side_by_side:
        pairs = zip(rows[::2], rows[1::2], strict=True)
        return (*(sentence_of_both(*pair, **options) for pair in pairs), *finding.notes)
    return (*(sentence(row, **options) for row in rows), *finding.notes)


def sentence(row: Mapping[Any, Any], *, digits: int = 3, margin: float | None = None) -> str:
    """Report an estimate in a sentence: effect, interval, adjusted p-value or why there is none, n.

    Parameters
    ----------
    row
        A row of `estimates_table`.
    digits
        Number of decimal places.
    margin
        Margin of the test of equivalence.
    """
    n = _sample(row)
    if math.isnan(row["estimate"]):
        return f"{_label(row)}: undefined, {_why_undefined(row)} (n = {n})."
    return f"{_label(row)}: {_value(row, digits, margin)}; n = {n})."


def sentence_of_both(
    row: Mapping[Any, Any],
    other: Mapping[Any, Any],
    *,
    digits: int = 3,
    margin: float | None = None,
) -> str:
    """Report the same difference by two measures in a sentence, first where they disagree.

    Parameters
    ----------
    row, other
        Rows of `estimates_table`: by a measure that areas of masks can move, and by one that they cannot.
    digits, margin
        See `sentence`.
    """
    values = []
    samples = [_sample(each) for each in (row, other)]
    for each, sample in zip((row, other), samples, strict=True):
        name = name_of(each["measure"])
        own = f"; n = {sample}" if len(set(samples)) > 1 else ""
        if math.isnan(each["estimate"]):
            values.append(f"{name} undefined, {_why_undefined(each)}")
        else:
            values.append(f"{name} {_value(each, digits, margin)}{own})")
    shared = f"; n = {samples[0]}" if len(set(samples)) == 1 else ""
    label = _label(row) if " " in row["label"].split(" (")[0] else row["label"]  # "amod" is a name
    return f"{label}: {disagreement(row, other)}{', '.join(values)}{shared}."


def name_of(measure: str) -> str:
    """Return the name of a measure in a sentence."""
    return _NAMES.get(measure, measure.replace("_", " "))


def is_difference(estimate: Estimate) -> bool:
    """Whether an estimate is compared with 0: it has a test, or a reason why it has none."""
    return bool(estimate.untested) or not (math.isnan(estimate.p) and math.isnan(estimate.least_p))


def is_found(row: Mapping[Any, Any]) -> bool:
    """Whether a row of `estimates_table` is a finding."""
    return bool(row["p_adjusted"] <= ALPHA)


def disagreement(row: Mapping[Any, Any], other: Mapping[Any, Any]) -> str:
    """Return how two measures of the same difference disagree, to put before their values; "" if they agree."""
    found, confirmed = is_found(row), is_found(other)
    first, second = name_of(row["measure"]), name_of(other["measure"])
    if (found or confirmed) and row["estimate"] * other["estimate"] < 0:
        return f"{first} and {second} differ in sign, so the areas of the masks may be behind {first}; "
    if found and not confirmed:
        return f"found by {first} only, which the areas of the masks can move; "
    return f"found by {second} only; " if confirmed and not found else ""


def _label(row: Mapping[Any, Any]) -> str:
    label = str(row["label"])
    return label[:1].upper() + label[1:]


def _why_undefined(row: Mapping[Any, Any]) -> str:
    return row["reason"] or row["untested"] or "no prompt has a value"


def _sample(row: Mapping[Any, Any]) -> str:
    n = plural(row["n_prompts"], "prompt")
    if row["n_images"] or not row["n_prompts"]:
        n += f", {plural(row['n_images'], 'image')}"
    if row["n_unpaired"]:
        lack = "lacks" if row["n_unpaired"] == 1 else "lack"
        n += f", excluding {plural(row['n_unpaired'], 'prompt')} that {lack} one side"
    if not math.isnan(row["estimate"]) and row["n_clusters"] not in (0, row["n_prompts"]):
        n += f", {row['n_clusters']} independent units"
    return n


def _value(row: Mapping[Any, Any], digits: int, margin: float | None) -> str:
    """Return a value with its interval and its test, without the closing bracket."""
    interval = f"no interval: {row['reason']}"
    if not math.isnan(row["low"]):
        ends = [row["low"], row["high"]]
        shown = digits
        # An end that excludes 0 must not look like 0.
        while row["p"] <= ALPHA and shown < _MOST_DIGITS and 0 in [round(e, shown) for e in ends]:
            shown += 1
        low, high = (_number(end, shown) for end in ends)
        interval = f"{100 * row['level']:g}% interval {low} to {high}"
    parts = [interval, *_test(row)]
    if margin is not None and row["p_equivalent"] <= ALPHA:
        parts.append(
            f"equivalent within ±{margin:g}, p {format_p(row['p_equivalent'], equals=True)}"
        )
    return f"{_number(row['estimate'], digits)} ({'; '.join(parts)}"


def _test(row: Mapping[Any, Any]) -> list[str]:
    """Return what a test found, or why it could find nothing."""
    if row["untested"]:
        return [f"not tested: {row['untested']}"]
    p = row["p_adjusted"]
    if math.isnan(p):
        return []
    parts = [f"Holm-adjusted p {format_p(p, equals=True)}"]
    if row["least_p"] > ALPHA:
        parts.append(
            f"p cannot be below {row['least_p']:.3g} in {plural(row['n_clusters'] or row['n_prompts'], 'prompt')}"
        )
    elif row["p"] <= ALPHA < p:
        # The interval is that of one test, and excludes 0 if that test alone rejects.
        n = plural(row["n_clusters"] or row["n_prompts"], "prompt")
        least = f", the least that {n} can give" if row["p"] <= row["least_p"] else ""
        p_alone = format_p(row["p"], equals=True)
        parts.append(f"alone p {p_alone}{least}, not a finding among all tests")
    return parts


def _number(value: float, digits: int) -> str:
    """Format a number with a true minus sign, and without a sign where it rounds to 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
