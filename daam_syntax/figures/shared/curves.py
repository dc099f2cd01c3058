"""Lines of means with intervals that can be distinguished where many lines cross."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.shared.word_labels import name_label

_DODGE: Final = 0.7
"""Share of the distance between two places that the bars of all series take up."""

_HALF: Final = 0.42
"""Half of the width of a control that no line joins."""


def draw_curve(
    ax: Axes,
    places: np.ndarray,
    values: np.ndarray,
    style: dict[str, Any],
    *,
    number: int = 0,
    of: int = 1,
    joined: bool = True,
) -> bool:
    """Draw the means of one of several series, with a mark and a bar for the interval at some places.

    A mark is hollow where the mean has no interval. Each of `of` series has its marks and bars at other places: bands
    of several series would hide each other.

    Parameters
    ----------
    ax
        Axes to draw on.
    places
        Places of the means on the x axis, increasing. *Shape:* ``(place,)``.
    values
        Means, lower, and upper ends of the intervals. *Shape:* ``(3, place)``. A missing mean is a gap.
    style
        Color, line style, marker, and label of the series.
    number, of
        Number of the series, from 0, and how many series there are.
    joined
        Whether a line joins the means. If not, every mean has a mark and a bar, and the series stand side by side.

    Returns
    -------
    bool
        Whether a mark is hollow.
    """
    mean, low, high = values
    many = joined and len(places) >= of
    chosen = np.arange(len(places)) % of == number % of if many else np.ones(len(places), bool)
    step = float(np.diff(places).min()) if len(places) > 1 else 1.0
    shift = 0.0 if many or of == 1 else (number - (of - 1) / 2) * step * _DODGE / of
    bars = places[chosen] + (shift if not joined else shift / 4)
    if joined:
        every: dict[str, Any] = {"markevery": chosen.nonzero()[0].tolist()} if many else {}
        ax.plot(places, mean, **style, **every)
    else:
        ax.plot(bars, mean, **(style | {"linestyle": "none"}))
    ax.vlines(bars, low[chosen], high[chosen], color=style["color"], lw=1.0, alpha=0.75)
    marked = mean[chosen]
    hollow = np.isnan(low[chosen]) & ~np.isnan(marked)
    if hollow.any():
        at = bars if not joined else places[chosen]
        look = {key: style[key] for key in ("color", "marker", "markersize") if key in style}
        ax.plot(at[hollow], marked[hollow], **look, linestyle="none", markerfacecolor="white")
    return bool(hollow.any())


def draw_band(
    ax: Axes,
    places: np.ndarray,
    values: np.ndarray,
    style: dict[str, Any],
    *,
    joined: bool = True,
    strength: float = 0.15,
) -> None:
    """Draw the means of a control as a line, with its intervals as a band; see `draw_curve` for the parameters."""
    mean, low, high = values
    face = {"color": style["color"], "alpha": strength, "lw": 0}
    if joined:
        ax.plot(places, mean, **style)
        ax.fill_between(places, low, high, **face)
        return
    ends = np.stack([places - _HALF, places + _HALF, np.full(len(places), np.nan)], axis=1)
    ax.plot(ends.ravel(), np.repeat(mean, 3), **style)
    ax.bar(places, high - low, 2 * _HALF, low, **face)


def is_staggered(places: int, of: int) -> bool:
    """Return whether each of several series that lines join has its bars at other places, see `draw_curve`."""
    return places >= of > 1


def with_sizes(name: str, rows: pd.DataFrame) -> str:
    """Return the name of a series with its number of prompts, "amod (6)" or "amod (4–6)", if the table has it."""
    name = name_label(name)
    if "n_prompts" not in rows.columns:
        return name
    low, high = int(rows["n_prompts"].min()), int(rows["n_prompts"].max())
    return f"{name} ({low})" if low == high else f"{name} ({low}–{high})"


def interval_name(table: pd.DataFrame) -> str:
    """Return "95% interval", or "interval" if the table does not record the level."""
    level = table.attrs.get("level")
    return "interval" if level is None or math.isnan(level) else f"{level:.0%} interval"
