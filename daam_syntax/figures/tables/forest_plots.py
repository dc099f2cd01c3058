"""Means and intervals of all relations, beside the control."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.labels import label_fonts
from daam_syntax.figures.styles import (
    CONTROL,
    PALETTE,
    legend_above,
    new_axes,
    note_missing,
    points,
)
from daam_syntax.figures.tables.table_columns import measure_label, require, require_one
from daam_syntax.util.wording import plural

_WHAT: Final = "a summary (see `summarize`)"
_LEAST_ROWS: Final = 6  # that the label of the axis has room beside


def forest(
    summary: pd.DataFrame,
    *,
    measure: str | None = None,
    group: str = "relation",
    control: str = "unrelated",
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean of each relation with its interval, over the control's line and band.

    Parameters
    ----------
    summary
        One row per relation, of one scheme and one threshold, with the columns ``kind``, ``n_prompts``, ``low``,
        ``high`` and those named below; with ``p_adjusted``, marks are filled where a relation differs from the control.
        A relation without a mean has its row in the figure too.
    measure
        Column of the means; the one that `summarize` made the intervals for if None.
    group
        Column that names the rows.
    control
        Kind of the row that is the control; it is not listed but drawn as a vertical line and band. Further
        controls are listed with their kind.
    alpha
        Adjusted p-values below it count as a difference from the control.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; the largest mean is on top.

    Raises
    ------
    ValueError
        If columns are missing, schemes or thresholds are mixed, the intervals are of another measure, or
        there are several rows of the control.
    """
    inferred = summary.attrs.get("measure")
    measure = measure or inferred or "iou"
    require(summary, ["kind", group, "n_prompts", measure, "low", "high"], _WHAT)
    require_one(summary, ["scheme", "threshold"], _WHAT)
    if inferred not in (None, measure):
        raise ValueError(
            f"Expected a summary with intervals of {measure}, but got one with intervals of {inferred}; "
            f"make it with summarize(pairs, measure={measure!r})."
        )
    is_control = summary["kind"] == control
    if is_control.sum() > 1:
        raise ValueError(
            f"Expected at most one row of the control {control!r}, but got {is_control.sum()}; name another kind as "
            "the control, or leave out those rows."
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
    ax.tick_params(axis="x", labelsize="small")
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, grow=own)
    return ax


def _names(rows: pd.DataFrame, group: str) -> list[str]:
    """Name the rows by their group, and those of further controls by their kind too."""
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
        (bounded & differs, blue, "o", f"differs from them (adjusted p < {alpha:g})"),
        (bounded & ~differs, "white", "o", "no difference shown"),
        (rows["mean"].notna() & ~bounded, "white", "D", "without interval"),
    ):
        if chosen.any():
            style: dict[str, Any] = {
                "markerfacecolor": face,
                "label": label if tested or marker == "D" else None,
            }
            some = rows[chosen]
            ax.plot(some["mean"], some["place"], marker, color=blue, ms=4.5, **style)
    for place in rows.loc[rows["mean"].isna(), "place"]:
        note_missing(ax, place)
