"""Overlap against the similarity of the words, category by category."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import statsmodels.api as sm
from matplotlib.axes import Axes

from daam_syntax.figures.styles import CONTROL, legend_above, new_axes, series_style
from daam_syntax.figures.tables.table_columns import measure_label, require
from daam_syntax.util.wording import plural


def similarity_scatter(
    table: pd.DataFrame,
    *,
    similarity: str = "similarity",
    measure: str = "iou",
    category: str = "category",
    fit: Literal["all", "category"] | None = "all",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw each pair of words at its similarity and its overlap, with a line fitted by least squares.

    Parameters
    ----------
    table
        One row per pair of words, such as the means of cohyponyms over prompts: the sample of the fit is its rows.
    similarity, measure, category
        Its columns.
    fit
        One line for all pairs, one for each category, or none. The band is the interval of the fitted mean.
    level
        Confidence level of the band, and of the slope in the legend.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend counts the pairs, and says where there are too few for a line.

    Raises
    ------
    ValueError
        If columns are missing or there is no such fit.
    """
    require(table, [similarity, measure, category], "a table of pairs of words")
    if fit not in ("all", "category", None):
        raise ValueError(f'Expected a fit "all", "category" or None, but got {fit!r}.')
    rows = table.dropna(subset=[similarity, measure])
    categories = list(table[category].unique())
    own = ax is None
    ax = ax or new_axes(2.4)
    for number, name in enumerate(categories):
        some = rows[rows[category] == name]
        style = series_style(number)
        note = f"{name} ({len(some)})"
        if fit == "category":
            note += f", {_draw_fit(ax, some[similarity], some[measure], level, style['color'])}"
        dots = {"color": style["color"], "ms": 4, "alpha": 0.75, "mew": 0}
        ax.plot(some[similarity], some[measure], style["marker"], label=note, **dots)
    if fit == "all":
        note = _draw_fit(ax, rows[similarity], rows[measure], level, CONTROL)
        ax.plot([], [], color=CONTROL, lw=1.4, label=note)
    missing = len(table) - len(rows)
    note = f", {missing} not measured" if missing else ""
    ax.set_xlabel(
        f"{similarity.replace('_', ' ')} of the words\n{plural(len(rows), 'pair')} of words{note}"
    )
    ax.set_ylabel(measure_label(measure))
    ax.tick_params(labelsize="small")
    ax.grid(color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, grow=own)
    return ax


def _draw_fit(ax: Axes, x: pd.Series, y: pd.Series, level: float, colour: str) -> str:
    """Draw the least-squares line with the interval of its mean; return its slope, or why there is none."""
    if len(x) < 3 or x.nunique() < 2:
        return "no fit: too few pairs"
    model = sm.OLS(y.to_numpy(float), sm.add_constant(x.to_numpy(float))).fit()
    places = np.linspace(x.min(), x.max(), 50)
    found = model.get_prediction(sm.add_constant(places)).summary_frame(alpha=1 - level)
    low, high = model.conf_int(alpha=1 - level)[1]
    ax.plot(places, found["mean"], color=colour, lw=1.4)
    band = found["mean_ci_lower"], found["mean_ci_upper"]
    ax.fill_between(places, *band, color=colour, alpha=0.15, lw=0)
    return f"slope {model.params[1]:.2f} [{low:.2f}, {high:.2f}]"
