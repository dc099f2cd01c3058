"""The overlap of each relation by threshold, step, layer or attention head."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from daam_syntax.figures.shared.arguments import require, require_one
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import (
    CONTROL,
    legend_above,
    new_axes,
    plain_axes,
    series_style,
)

_BANDED: Final = 6  # most lines whose bands can be distinguished
_RULES: Final = {
    "relative": "relative threshold\n(share of the map's maximum)",
    "absolute": "absolute threshold\n(mean attention probability)",
}


def threshold_sweep(
    sweep: pd.DataFrame,
    *,
    measure: str = "iou",
    control: str = "unrelated",
    ax: Axes | None = None,
) -> Axes:
    """Draw how the overlap of each relation depends on the threshold.

    Parameters
    ----------
    sweep
        Tidy table of one scheme, with the columns ``threshold`` (values of one rule, such as "relative:0.4"),
        ``measure``, ``relation``, ``mean``, ``low`` and ``high``; see `sweep_curves`. A missing mean is a gap in the
        line.
    measure
        The measure to draw.
    control
        Relation of the control, drawn as a dashed gray line.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Intervals are drawn as bands for up to six relations; the label of the y axis says whether they are.

    Raises
    ------
    ValueError
        If columns or the measure are missing, or schemes or rules are mixed.
    """
    what = "the curves of a sweep (see `sweep_curves`)"
    require(sweep, ["threshold", "measure", "relation", "mean", "low", "high"], what)
    rows = _of_measure(sweep, measure, what)
    require_one(rows, ["scheme"], what)
    rules = rows["threshold"].astype(str).str.partition(":")
    rows = rows.assign(rule=rules[0], value=rules[2])
    require_one(rows, ["rule"], what)
    rule = rows["rule"].iloc[0]
    rows["value"] = rows["value"].astype(float)
    ax = _draw(rows, "value", measure, control, ax)
    ax.set_xlabel(_RULES.get(rule, f"threshold ({rule.replace('_', ' ')})"))
    return ax


def overlap_profile(
    profile: pd.DataFrame,
    *,
    along: str = "step",
    measure: str = "iou",
    control: str = "unrelated",
    ax: Axes | None = None,
) -> Axes:
    """Draw the overlap of each relation by step, layer or attention head.

    Parameters
    ----------
    profile
        Tidy table of one scheme and one threshold, with the columns ``measure``, ``relation``, ``mean``, ``low``,
        ``high`` and the one named by `along`. A missing mean is a gap in the line.
    along
        Column on the x axis. Numbers are drawn to scale, names side by side in the order of the table.
    measure, control, ax
        As in `threshold_sweep`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If columns or the measure are missing, or schemes or thresholds are mixed.
    """
    what = "a profile (see `profile` in docs/gallery.py)"
    require(profile, [along, "measure", "relation", "mean", "low", "high"], what)
    rows = _of_measure(profile, measure, what)
    require_one(rows, ["scheme", "threshold"], what)
    names = None
    if not pd.api.types.is_numeric_dtype(rows[along]):
        codes, names = pd.factorize(rows[along])
        rows = rows.assign(**{along: codes})
    ax = _draw(rows, along, measure, control, ax)
    ax.set_xlabel({"head": "attention head"}.get(along, along.replace("_", " ")))
    if names is None:
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    else:
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    return ax


def _of_measure(table: pd.DataFrame, measure: str, what: str) -> pd.DataFrame:
    rows = table[table["measure"] == measure]
    if rows.empty:
        found = ", ".join(map(str, table["measure"].unique()))
        raise ValueError(f"Expected {what} and one of its measures ({found}), but got {measure!r}.")
    return rows


def _draw(rows: pd.DataFrame, x: str, measure: str, control: str, ax: Axes | None) -> Axes:
    relations = [name for name in rows["relation"].unique() if name != control]
    own = ax is None
    ax = ax or new_axes(2.4)
    banded = len(relations) <= _BANDED
    for number, name in enumerate(relations):
        style = {**series_style(number), "markersize": 3.5, "linewidth": 1.2, "label": name}
        _draw_line(ax, rows[rows["relation"] == name], x, style, banded)
    if control in set(rows["relation"]):
        style = {"color": CONTROL, "linestyle": "--", "linewidth": 1.6, "label": control}
        _draw_line(ax, rows[rows["relation"] == control], x, style, True)
    shown = "mean with interval" if banded else "mean, intervals not drawn"
    ax.set_ylabel(f"{measure_label(measure)}\n{shown}")
    plain_axes(ax)
    legend_above(ax, grow=own)
    return ax


def _draw_line(ax: Axes, rows: pd.DataFrame, x: str, style: dict[str, Any], band: bool) -> None:
    rows = rows.sort_values(x)
    places, mean, low, high = (rows[c].to_numpy(float) for c in (x, "mean", "low", "high"))
    if len(np.unique(places)) < len(places):
        raise ValueError(
            f"Expected one row per relation and {x}, but {style['label']!r} has several: average them first."
        )
    ax.plot(places, mean, **style)
    if band:
        ax.fill_between(places, low, high, color=style["color"], alpha=0.15, lw=0)
