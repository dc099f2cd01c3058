"""The breadth of the maps of each part of speech."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.analysis import estimate_mean, prompt_means
from daam_syntax.figures.shared.arguments import require, require_one
from daam_syntax.figures.shared.colors import PALETTE
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import mark_unmeasured, new_axes, plain_axes, points
from daam_syntax.figures.shared.word_labels import label_fonts, name_label
from daam_syntax.util.arguments.checks import FRACTION, checked

_WHAT: Final = "a word table (see `word_table`)"
_LEAST_ROWS: Final = 5  # room for the label of the y axis
_GOLDEN: Final = 0.618  # steps of the golden ratio spread any number of points evenly


@checked(level=FRACTION)
def breadth_by_pos(
    words: pd.DataFrame,
    *,
    measure: str = "area",
    group: str = "pos",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw how much of the image the words of each part of speech attend to.

    Each pale dot is one prompt: the mean over its words of that part of speech, then over its images. The dark mark is
    the mean over prompts with its interval, see `estimate_mean`. It is hollow where no interval can be estimated.

    Parameters
    ----------
    words
        A word table with one threshold, see `word_table`.
    measure
        Column with the breadth of the maps.
    group
        Column whose values are the rows.
    level
        Confidence level of the intervals.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the broadest group on top. A group without any measured map keeps its row.

    Raises
    ------
    ValueError
        If columns are missing or thresholds are mixed.
    """
    require(words, ["prompt_id", "image", group, measure], _WHAT)
    require_one(words, ["threshold"], _WHAT)
    groups = words[group].map(lambda name: "" if pd.isna(name) else str(name))
    found = {name: prompt_means(rows, measure) for name, rows in words.groupby(groups)}
    order = sorted(found, key=lambda name: found[name].mean() if len(found[name]) else -np.inf)
    if ax is None:
        ax = new_axes(0.8 + 1.75 * points("medium") / 72 * max(_LEAST_ROWS, len(order)))
    hollow = False
    for place, name in enumerate(order):
        means = found[name]
        spread = (np.arange(len(means)) * _GOLDEN % 1 - 0.5) * 0.55
        ax.plot(means, place + spread, "o", color=PALETTE[2], ms=3, alpha=0.6, mew=0)
        if means.empty:
            mark_unmeasured(ax, place)
            continue
        mean = estimate_mean(words[groups == name], measure, level=level)
        ax.hlines(place, mean.low, mean.high, color=PALETTE[0], lw=1.8)
        known = not np.isnan(mean.low)
        hollow |= not known
        ax.plot(
            mean.estimate,
            place,
            "D",
            color=PALETTE[0],
            ms=4.5,
            markerfacecolor=PALETTE[0] if known else "white",
        )
    ax.set_yticks(
        range(len(order)),
        [f"{name_label(name)} ({len(found[name])})" for name in order],
        fontsize="small",
        parse_math=False,
        fontfamily=label_fonts(),
    )
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.set_ylabel(f"{'part of speech' if group == 'pos' else group}\n(n prompts)")
    note = " (hollow: none)" if hollow else ""
    ax.set_xlabel(f"{measure_label(measure)}\ndots: prompts; mean, {level:.0%} interval{note}")
    plain_axes(ax, grid="x")
    return ax
