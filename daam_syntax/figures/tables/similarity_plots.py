"""Overlap against the similarity of two words, by category."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.shared.arguments import require
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import (
    CONTROL,
    legend_above,
    new_axes,
    plain_axes,
    series_style,
)
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
    """Draw each pair of words at its similarity and its overlap, with a least-squares line.

    Parameters
    ----------
    table
        One row per pair of words, such as the means of cohyponyms over prompts. Its rows are the sample of the fit.
    similarity, measure, category
        Columns of the table.
    fit
        "all" for one line, "category" for one line per category, None for no line. The band is the interval of the
        fitted mean.
    level
        Confidence level of the band and of the slope in the legend.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend counts the pairs and notes where there are too few for a line.

    Raises
    ------
    ValueError
        If columns are missing or the fit is unknown.
    """
    require(table, [similarity, measure, category], "a table of pairs of words")
    if fit not in ("all", "category", None):
        raise ValueError(f'Expected fit="all", "category" or None, but got {fit!r}.')
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
    plain_axes(ax)
    legend_above(ax, grow=own)
    return ax


def _draw_fit(ax: Axes, x: pd.Series, y: pd.Series, level: float, color: str) -> str:
    """Draw the least-squares line with the band of its mean; return its slope, or why there is no line."""
    import statsmodels.api as sm  # takes seconds to import

    if len(x) < 3 or x.nunique() < 2:
        return "no fit: too few pairs"
    model = sm.OLS(y.to_numpy(float), sm.add_constant(x.to_numpy(float))).fit()
    places = np.linspace(x.min(), x.max(), 50)
    found = model.get_prediction(sm.add_constant(places)).summary_frame(alpha=1 - level)
    low, high = model.conf_int(alpha=1 - level)[1]
    ax.plot(places, found["mean"], color=color, lw=1.4)
    band = found["mean_ci_lower"], found["mean_ci_upper"]
    ax.fill_between(places, *band, color=color, alpha=0.15, lw=0)
    return f"slope {model.params[1]:.2f} [{low:.2f}, {high:.2f}]"
