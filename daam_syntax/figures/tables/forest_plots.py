"""Means and intervals of all relations next to the control."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.shared.arguments import require, require_one
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import (
    CONTROL,
    PALETTE,
    legend_above,
    mark_unmeasured,
    new_axes,
    plain_axes,
    points,
)
from daam_syntax.figures.shared.word_labels import label_fonts
from daam_syntax.util.wording import plural

_WHAT: Final = "a summary (see `summarize`)"
_LEAST_ROWS: Final = 6  # room for the label of the y axis


def forest(
    summary: pd.DataFrame,
    *,
    measure: str | None = None,
    group: str = "relation",
    control: str = "unrelated",
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean of each relation with its interval, over the line and band of the control.

    Parameters
    ----------
    summary
        One row per relation of one scheme and one threshold, with the columns ``kind``, ``n_prompts``, ``low``,
        ``high`` and those named below. With the column ``p_adjusted``, marks are filled where a relation differs from
        the control. A relation without a mean keeps its row.
    measure
        Column of the means; the measure whose intervals `summarize` estimated if None.
    group
        Column that names the rows.
    control
        Kind of the control's row, which is drawn as a vertical line and band instead of a row. Other controls are
        rows that name their kind.
    alpha
        A relation with a smaller adjusted p-value counts as different from the control.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the largest mean on top.

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
    rows = summary[~is_control].sort_values(measure, na_position="first", kind="stable")
    own = ax is None
    ax = ax or new_axes(0.9 + 1.75 * points("medium") / 72 * max(_LEAST_ROWS, len(rows)))
    for _, row in summary[is_control].iterrows():
        n = plural(row["n_prompts"], "prompt")
        ax.axvspan(row["low"], row["high"], color=CONTROL, alpha=0.15, lw=0)
        ax.axvline(row[measure], color=CONTROL, lw=1.2, ls="--", label=f"{control} pairs ({n})")
    _draw_means(ax, rows.assign(mean=rows[measure], place=range(len(rows))), alpha)
    names = zip(_names(rows, group), rows["n_prompts"], strict=True)
    ax.set_yticks(
        range(len(rows)),
        [f"{name} ({n})" for name, n in names],
        fontsize="small",
        fontfamily=label_fonts(),
        parse_math=False,
    )
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_ylabel(f"{group.replace('_', ' ')} (n prompts)")
    level = f"{summary.attrs['level']:.0%} interval" if "level" in summary.attrs else "interval"
    ax.set_xlabel(f"{measure_label(measure)}\nmean over prompts, {level}")
    plain_axes(ax, grid="x")
    legend_above(ax, grow=own)
    return ax


def _names(rows: pd.DataFrame, group: str) -> list[str]:
    """Return the names of the rows: their group, and for other controls also their kind."""
    return [
        str(name) if kind == "dependency" else f"{name}, {kind}"
        for name, kind in zip(rows[group], rows["kind"], strict=True)
    ]


def _draw_means(ax: Axes, rows: pd.DataFrame, alpha: float) -> None:
    blue = PALETTE[0]
    bounded = rows[["mean", "low", "high"]].notna().all(axis=1)
    tested = "p_adjusted" in rows.columns
    differs = rows["p_adjusted"] < alpha if tested else bounded
    ax.hlines(rows["place"], rows["low"], rows["high"], color=blue, lw=1.6)
    for chosen, face, marker, label in (
        (bounded & differs, blue, "o", f"different from control (adjusted p < {alpha:g})"),
        (bounded & ~differs, "white", "o", "no significant difference"),
        (rows["mean"].notna() & ~bounded, "white", "D", "no interval"),
    ):
        if chosen.any():
            style: dict[str, Any] = {
                "markerfacecolor": face,
                "label": label if tested or marker == "D" else None,
            }
            some = rows[chosen]
            ax.plot(some["mean"], some["place"], marker, color=blue, ms=4.5, **style)
    for place in rows.loc[rows["mean"].isna(), "place"]:
        mark_unmeasured(ax, place)
