"""What changes while more and more is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.styles import CONTROL, legend_above, new_axes, series_style
from daam_syntax.figures.tables.table_columns import require

_WHAT: Final = "a table of curves"
_REFERENCES: Final = ("--", ":", "-.")


def deletion_curves(
    curves: pd.DataFrame,
    *,
    reference: str | Sequence[str] = "random",
    deleted: str = "share deleted",
    change: str = "change of the picture",
    ax: Axes | None = None,
) -> Axes:
    """Draw how the change grows with the share that is deleted, curve by curve, beside reference curves.

    Parameters
    ----------
    curves
        Tidy: one row per curve and share, with the columns ``curve``, ``share`` (0 to 1), ``mean``, ``low`` and
        ``high``.
    reference
        The curves to compare with, such as random deletion: grey, without markers. Those that the table lacks are
        not drawn.
    deleted, change
        Labels of the axes: what was deleted, and what was measured in which unit.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend gives each curve's area under the curve (trapezoids, over the width of its shares, so
        that it is a mean change); "–" where a mean is missing.

    Raises
    ------
    ValueError
        If columns are missing, shares leave 0 to 1 or repeat, or curves span different shares, so that their areas
        could not be compared.
    """
    require(curves, ["curve", "share", "mean", "low", "high"], _WHAT)
    _check_shares(curves)
    references = [reference] if isinstance(reference, str) else list(reference)
    names = list(curves["curve"].unique())
    drawn = [n for n in names if n not in references]
    areas = {name: _area(curves[curves["curve"] == name]) for name in names}
    labels = {n: f"{n} (AUC {'–' if np.isnan(a) else f'{a:.3f}'})" for n, a in areas.items()}
    own = ax is None
    ax = ax or new_axes(2.4)
    styles = {name: {**series_style(i), "markersize": 3.5} for i, name in enumerate(drawn)}
    for i, name in enumerate(n for n in names if n in references):
        styles[name] = {"color": CONTROL, "linestyle": _REFERENCES[i % len(_REFERENCES)]}
    for name, style in styles.items():
        rows = curves[curves["curve"] == name].sort_values("share")
        ax.plot(rows["share"], rows["mean"], lw=1.3, label=labels[name], **style)
        band = rows["low"], rows["high"]
        ax.fill_between(rows["share"], *band, color=style["color"], alpha=0.15, lw=0)
    ax.set_xlabel(deleted)
    ax.set_ylabel(f"{change}\nmean with interval")
    ax.tick_params(labelsize="small")
    ax.grid(color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, grow=own)
    return ax


def _check_shares(curves: pd.DataFrame) -> None:
    shares = curves["share"]
    if not shares.between(0, 1).all():
        raise ValueError(
            f"Expected shares from 0 to 1, but got {shares.min():g} to {shares.max():g}."
        )
    if curves.duplicated(["curve", "share"]).any():
        raise ValueError(
            "Expected one row per curve and share, but some have several; average them first."
        )
    spans = curves.groupby("curve", sort=False)["share"].agg(["min", "max"])
    if len(spans.drop_duplicates()) > 1:
        listed = ", ".join(f"{name}: {a:g} to {b:g}" for name, a, b in spans.itertuples())
        raise ValueError(f"Expected curves over the same shares, but got {listed}.")


def _area(rows: pd.DataFrame) -> float:
    """Return the mean height of a curve: its area over its width; NaN for a single point."""
    rows = rows.sort_values("share")
    width = rows["share"].max() - rows["share"].min()
    return float(np.trapezoid(rows["mean"], rows["share"]) / width) if width else float("nan")
