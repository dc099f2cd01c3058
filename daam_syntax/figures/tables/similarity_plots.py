"""Overlap against the similarity of two words, by category."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.analysis import regress
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS
from daam_syntax.figures.shared.arguments import require
from daam_syntax.figures.shared.colors import CONTROL, series_style
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import legend_above, new_axes, plain_axes
from daam_syntax.figures.shared.word_labels import name_label
from daam_syntax.maps.measures import PAIR_MEASURES
from daam_syntax.util.arguments.checks import FRACTION, checked
from daam_syntax.util.wording import plural


@checked(level=FRACTION)
def similarity_scatter(
    table: pd.DataFrame,
    *,
    similarity: str = "similarity",
    measure: str = "iou",
    category: str = "category",
    fit: Literal["all", "category"] | None = "all",
    words: tuple[str, str] = ("first", "second"),
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
        "all" for one line, "category" for one line per category, None for no line.
    words
        Columns of the two words. If the table has them and words recur, the interval of the slope treats pairs with a
        word in common as dependent (`regress` with errors clustered by both words).
    level
        Confidence level of the slope in the legend.
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
    categories = list(table[category].unique())  # pairs without a category are one
    own = ax is None
    ax = ax or new_axes(2.8)
    for number, name in enumerate(categories):
        some = rows[rows[category].isna() if pd.isna(name) else rows[category] == name]
        style = series_style(number)
        note = f"{name_label(name, 24)} ({len(some)})"
        if fit == "category":
            note += f", {_draw_fit(ax, some, similarity, measure, words, level, style['color'])}"
        dots = {"color": style["color"], "ms": 4, "alpha": 0.75, "mew": 0}
        ax.plot(some[similarity], some[measure], style["marker"], label=note, **dots)
    if fit == "all":
        note = _draw_fit(ax, rows, similarity, measure, words, level, CONTROL)
        ax.plot([], [], color=CONTROL, lw=1.4, label=note)
    missing = len(table) - len(rows)
    note = f", {missing} not measured" if missing else ""
    ax.set_xlabel(
        f"{similarity.replace('_', ' ')} of the words\n{plural(len(rows), 'pair')} of words{note}"
    )
    ax.set_ylabel(measure_label(measure))
    known = PAIR_MEASURES.get(measure)
    if known is not None and known.low == 0:
        ax.set_ylim(
            bottom=-0.02 * rows[measure].max() if len(rows) else None
        )  # a line may leave the range
    plain_axes(ax)
    legend_above(ax, grow=own)
    return ax


def clusters_of(rows: pd.DataFrame, words: tuple[str, str]) -> str | tuple[str, str]:
    """Return the clusters of pairs of words: both words if they recur and are enough, otherwise the pairs."""
    if not set(words) <= set(rows.columns):
        return "prompt_id"
    counts = [rows[word].nunique() for word in words]
    return words if MIN_CLUSTERS <= min(counts) < len(rows) else "prompt_id"


def _draw_fit(
    ax: Axes,
    rows: pd.DataFrame,
    similarity: str,
    measure: str,
    words: tuple[str, str],
    level: float,
    color: str,
) -> str:
    """Draw the least-squares line; return its slope, or why there is no line."""
    if len(rows) < 3 or rows[similarity].nunique() < 2:
        return "no fit: too few pairs"
    places = np.arange(len(rows))
    found = regress(
        rows.assign(prompt_id=places, image=places),
        measure,
        by=None,
        covariates=[similarity],
        within=None,
        cluster=clusters_of(rows, words),
        level=level,
    )
    term = found.terms.set_index("term").loc[similarity]
    places = rows[similarity].to_numpy(float)
    slope, intercept = np.polyfit(places, rows[measure].to_numpy(float), 1)
    ends = np.array([places.min(), places.max()])
    ax.plot(ends, intercept + slope * ends, color=color, lw=1.4)
    note = f"slope {slope:.2f}"
    if not np.isfinite([term["low"], term["high"]]).all():
        return f"{note}, no interval: too few pairs"
    return f"{note}, {level:.0%} interval [{term['low']:.2f}, {term['high']:.2f}]"
