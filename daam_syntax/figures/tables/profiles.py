"""The overlap of each relation by threshold, step, layer or attention head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from daam_syntax.figures.shared.arguments import require, require_one
from daam_syntax.figures.shared.colors import CONTROL, series_style
from daam_syntax.figures.shared.curves import (
    draw_band,
    draw_curve,
    interval_name,
    is_staggered,
    with_sizes,
)
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import figure_of, legend_above, new_axes, plain_axes, points
from daam_syntax.figures.shared.word_labels import label_fonts, name_label, text_width
from daam_syntax.util.arguments.checks import checked

_UNORDERED: Final = ("head", "attention_head")
"""Columns whose values have no order, so no line joins them."""

_BESIDE: Final = 0.4  # inches of the label of the x axis

_RULES: Final = {
    "relative": "relative threshold\n(share of the map's maximum)",
    "absolute": "absolute threshold\n(mean attention probability)",
}


@checked
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
        The axes. Each relation has its marks and its intervals at other thresholds, because they would hide each
        other; the legend says how many prompts were measured.

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
    ax, note = _draw(rows, "value", measure, control, ax)
    label = _RULES.get(rule, f"threshold ({rule.replace('_', ' ')})")
    ax.set_xlabel(f"{label}{note}")
    return ax


@checked
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
        Column on the x axis. Numbers are drawn to scale, names side by side in the order of the table. Attention heads
        have no order, so no line joins them.
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
    own = ax is None
    ax, note = _draw(rows, along, measure, control, ax, joined=along not in _UNORDERED)
    label = {"head": "attention head"}.get(along, along.replace("_", " "))
    ax.set_xlabel(f"{label}{note}")
    if names is None:
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    else:
        shown = [name_label(name, 30) for name in names]
        if own:
            _make_room(ax, shown)
        ax.set_xticks(
            range(len(names)),
            shown,
            rotation=45,
            ha="right",
            rotation_mode="anchor",
            parse_math=False,
            fontfamily=label_fonts(),
        )
    return ax


def _make_room(ax: Axes, names: Sequence[str]) -> None:
    """Make a figure so tall that the label of its y axis fits above names that are rotated by 45 degrees."""
    below = 0.71 * max(text_width(name, points("small")) for name in names)
    beside = max(text_width(line, points()) for line in ax.get_ylabel().splitlines())
    lines = ax.get_xlabel().count("\n") * 1.4 * points() / 72
    figure = figure_of(ax)
    figure.set_figheight(max(figure.get_figheight(), beside + below + lines + _BESIDE))


def _of_measure(table: pd.DataFrame, measure: str, what: str) -> pd.DataFrame:
    rows = table[table["measure"] == measure]
    if rows.empty:
        found = ", ".join(map(str, table["measure"].unique()))
        raise ValueError(f"Expected {what} and one of its measures ({found}), but got {measure!r}.")
    return rows


def _draw(
    rows: pd.DataFrame, x: str, measure: str, control: str, ax: Axes | None, *, joined: bool = True
) -> tuple[Axes, str]:
    """Draw the curves, and return the axes and what their x label has to add."""
    names = [name for name in rows["relation"].unique() if name != control]
    own = ax is None
    ax = ax or new_axes(2.8)
    hollow = staggered = False
    for number, name in enumerate(names):
        places, values, label = _series(rows[rows["relation"] == name], x, name)
        style = {**series_style(number), "markersize": 4, "linewidth": 1.3, "label": label}
        hollow |= draw_curve(ax, places, values, style, number=number, of=len(names), joined=joined)
        staggered |= joined and is_staggered(len(places), len(names))
    has_control = control in set(rows["relation"])
    if has_control:
        places, values, label = _series(rows[rows["relation"] == control], x, control)
        style = {"color": CONTROL, "linestyle": "--", "linewidth": 1.6, "label": label}
        draw_band(ax, places, values, style, joined=joined)
    band = ", band" if has_control else ""
    sizes = " (n prompts)" if "n_prompts" in rows.columns else ""
    none = " (hollow: none)" if hollow else ""
    ax.set_ylabel(f"{measure_label(measure)}\nmean{sizes}\nbars{band}: {interval_name(rows)}{none}")
    plain_axes(ax)
    legend_above(ax, grow=own)
    return ax, "\nbars are staggered across relations" * staggered


def _series(rows: pd.DataFrame, x: str, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the places, the means with their intervals (*shape:* ``(3, place)``), and the label of a relation."""
    rows = rows.sort_values(x)
    places = rows[x].to_numpy(float)
    if len(np.unique(places)) < len(places):
        raise ValueError(
            f"Expected one row per relation and {x}, but {name!r} has several: average them first."
        )
    return places, rows[["mean", "low", "high"]].to_numpy(float).T, with_sizes(name, rows)
