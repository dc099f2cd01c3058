"""Differences or means of all relations, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.shared.arguments import require, require_one
from daam_syntax.figures.shared.colors import CONTROL, PALETTE
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import (
    legend_above,
    mark_unmeasured,
    new_axes,
    plain_axes,
    points,
)
from daam_syntax.figures.shared.word_labels import label_fonts, name_label
from daam_syntax.util.arguments.checks import FRACTION, checked
from daam_syntax.util.wording import plural

_WHAT: Final = "a summary (see `summarize`)"
_LEAST_ROWS: Final = 6  # room for the label of the y axis
_PALE: Final = 0.35  # opacity of what was not tested
_OFFSET: Final = 0.17  # between the marks of two measures in a row

Shown = Literal["difference", "mean"]


@checked(alpha=FRACTION)
def forest(
    summary: pd.DataFrame,
    *,
    show: Shown | None = None,
    measure: str | None = None,
    group: str = "relation",
    control: str = "unrelated",
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Axes:
    """Draw what each relation has more than its control, or the mean of each relation, with intervals.

    Parameters
    ----------
    summary
        One row per relation of one scheme and one threshold, with the columns ``kind``, ``n_prompts``, ``low``,
        ``high`` and those named below. With the column ``p_adjusted``, marks are filled where a relation differs from
        the control. A relation without a value keeps its row.
    show
        "difference": the columns ``difference``, ``difference_low`` and ``difference_high`` around a line at 0 and, if
        the summary has them, beside them those of the corrected measure. "mean": means beside the line and band of the
        control's mean, which has other words than the relations. None for differences if there are any.
    measure
        The measure of the summary; the one whose intervals `summarize` estimated if None.
    group
        Column that names the rows.
    control
        Kind of the control's row. In a figure of means it is a vertical line and band instead of a row. Other controls
        are rows that name their kind.
    alpha
        A relation with a smaller adjusted p-value counts as different from the control.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the largest value on top.

    Raises
    ------
    ValueError
        If columns are missing, schemes or thresholds are mixed, the intervals belong to another measure, or the
        control has several rows.
    """
    inferred = summary.attrs.get("measure")
    measure = measure or inferred or "iou"
    require(summary, ["kind", group, "n_prompts", measure, "low", "high"], _WHAT)
    require_one(summary, ["scheme", "threshold"], _WHAT)
    if show not in ("difference", "mean", None):
        raise ValueError(f'Expected show="difference", "mean" or None, but got {show!r}.')
    if inferred not in (None, measure):
        raise ValueError(
            f"Expected a summary with intervals of {measure}, but got one with intervals of {inferred}: "
            f"use summarize(pairs, measure={measure!r})."
        )
    is_control = summary["kind"] == control
    if is_control.sum() > 1:
        raise ValueError(
            f"Expected at most one row of the control {control!r}, but got {is_control.sum()}: choose another "
            "kind as the control, or drop the other rows."
        )
    has_differences = "difference" in summary and bool(summary["difference"].notna().any())
    if show == "difference":
        require(summary, ["difference", "difference_low", "difference_high", "n_paired"], _WHAT)
    by_difference = show == "difference" or (show is None and has_differences)
    value = "difference" if by_difference else measure
    rows = summary[~is_control].sort_values(value, na_position="first", kind="stable")
    own = ax is None
    ax = ax or new_axes(0.9 + 1.75 * points("medium") / 72 * max(_LEAST_ROWS, len(rows)))
    level = f"{summary.attrs['level']:.0%} interval" if "level" in summary.attrs else "interval"
    if by_difference:
        counts = rows["n_paired"].fillna(0).astype(int)
        _draw_differences(ax, rows, measure, str(summary.attrs.get("corrected", "")), alpha)
        ax.set_xlabel(
            f"difference from {summary.attrs.get('control', 'control')} pairs\nmean over prompts, {level}"
        )
    else:
        counts = rows["n_prompts"]
        _draw_control(ax, summary[is_control], measure, control)
        _draw_means(ax, rows, measure, alpha)
        ax.set_xlabel(f"{measure_label(measure)}\nmean over prompts, {level}")
    ax.set_yticks(
        range(len(rows)),
        [f"{name} ({n})" for name, n in zip(_names(rows, group), counts, strict=True)],
        fontsize="small",
        fontfamily=label_fonts(),
        parse_math=False,
    )
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_ylabel(f"{group.replace('_', ' ')} (n prompts)")
    plain_axes(ax, grid="x")
    legend_above(ax, grow=own)
    return ax


def _names(rows: pd.DataFrame, group: str) -> list[str]:
    """Return the names of the rows: their group, and for other controls also their kind."""
    return [
        name_label(name) if kind == "dependency" else f"{name_label(name)}, {kind}"
        for name, kind in zip(rows[group], rows["kind"], strict=True)
    ]


def _draw_control(ax: Axes, rows: pd.DataFrame, measure: str, control: str) -> None:
    for _, row in rows.iterrows():
        n = plural(row["n_prompts"], "prompt")
        ax.axvspan(row["low"], row["high"], color=CONTROL, alpha=0.15, lw=0)
        ax.axvline(row[measure], color=CONTROL, lw=1.2, ls="--", label=f"{control} pairs ({n})")


def _draw_means(ax: Axes, rows: pd.DataFrame, measure: str, alpha: float) -> None:
    marks = _marks(rows, (measure, "low", "high"), "p_adjusted")
    labels = _labels(alpha) if "p" in marks else ("", "", "", "no interval")
    _draw_marks(ax, marks, PALETTE[0], "o", alpha, labels)
    for place in marks.loc[marks["value"].isna(), "place"]:
        mark_unmeasured(ax, place)


def _draw_differences(
    ax: Axes, rows: pd.DataFrame, measure: str, corrected: str, alpha: float
) -> None:
    """Draw the differences by the measure and, if there is one, by the corrected measure below it."""
    ax.axvline(0, color=CONTROL, lw=1.0, ls="--")
    columns = {measure: ("difference", "p_adjusted")}
    if corrected and "corrected" in rows.columns:
        columns[corrected] = ("corrected", "corrected_p_adjusted")
    drawn = []
    for number, (name, (value, p)) in enumerate(columns.items()):
        marks = _marks(rows, (value, f"{value}_low", f"{value}_high"), p)
        if len(columns) > 1:
            marks["place"] += _OFFSET if number == 0 else -_OFFSET
        color, marker = PALETTE[number], "os"[number]
        _draw_marks(ax, marks, color, marker, alpha)
        ax.plot([], [], marker, color=color, ms=4.5, label=_name_of(name))
        drawn.append(marks)
    _explain(ax, drawn, "0.35", alpha)
    for place in np.flatnonzero(rows["difference"].isna()):
        mark_unmeasured(ax, float(place), "not compared")


def _name_of(measure: str) -> str:
    return {"iou": "IoU", "iod": "IoD", "ioh": "IoH"}.get(measure, measure.replace("_", " "))


def _marks(rows: pd.DataFrame, columns: tuple[str, str, str], p: str) -> pd.DataFrame:
    """Return values with intervals and places, and p if the table has tests."""
    marks = rows[list(columns)].set_axis(["value", "low", "high"], axis="columns").copy()
    marks["place"] = np.arange(len(rows), dtype=float)
    if p in rows.columns:
        marks["p"] = rows[p]
    return marks


def _draw_marks(
    ax: Axes,
    marks: pd.DataFrame,
    color: str,
    marker: str,
    alpha: float,
    labels: Sequence[str] = ("", "", "", ""),
) -> None:
    """Draw values with their intervals: filled where they differ from the control, pale where they were not tested."""
    styles = _styles(marks, color, marker, alpha)
    for (chosen, face, shape, pale), label in zip(styles, labels, strict=True):
        if chosen.any():
            some = marks[chosen]
            strength = _PALE if pale else 1.0
            ax.hlines(some["place"], some["low"], some["high"], color=color, lw=1.6, alpha=strength)
            style: dict[str, Any] = {"markerfacecolor": face, "alpha": strength, "ls": "none"}
            style |= {"color": color, "ms": 4.5, "label": label or None}
            ax.plot(some["value"], some["place"], shape, **style)


def _styles(
    marks: pd.DataFrame, color: str, marker: str, alpha: float
) -> list[tuple[pd.Series, str, str, bool]]:
    """Return which rows are different, not found to differ, not tested, and without an interval, and their looks."""
    bounded = marks[["value", "low", "high"]].notna().all(axis=1)
    everything = pd.Series(True, index=marks.index)
    differs = marks["p"] < alpha if "p" in marks else everything
    tested = marks["p"].notna() if "p" in marks else everything
    return [
        (bounded & differs, color, marker, False),
        (bounded & ~differs & tested, "white", marker, False),
        (bounded & ~tested, "white", marker, True),
        (marks["value"].notna() & ~bounded, "white", "D", False),
    ]


def _labels(alpha: float) -> tuple[str, ...]:
    different = f"different from control (adjusted p < {alpha:g})"
    return different, "not found to differ", "not tested", "no interval"


def _explain(ax: Axes, drawn: Sequence[pd.DataFrame], color: str, alpha: float) -> None:
    """Add the meanings of the looks that occur to the legend."""
    looks = [_styles(marks, color, "o", alpha) for marks in drawn]
    for number, label in enumerate(_labels(alpha)):
        some = [each[number] for each in looks]
        if any(chosen.any() for chosen, *_ in some) and ("p" in drawn[0] or number == 3):
            _, face, shape, pale = some[0]
            style: dict[str, Any] = {"markerfacecolor": face, "alpha": _PALE if pale else 1.0}
            ax.plot([], [], shape, color=color, ms=4.5, label=label, **style)
