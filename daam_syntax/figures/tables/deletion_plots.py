"""The change of an image while more and more attention is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from daam_syntax.figures.shared.arguments import require
from daam_syntax.figures.shared.colors import CONTROL, series_style
from daam_syntax.figures.shared.curves import draw_band, draw_curve, interval_name, is_staggered
from daam_syntax.figures.shared.styles import legend_above, new_axes, plain_axes
from daam_syntax.figures.shared.word_labels import name_label
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.wording import plural

_WHAT: Final = "a table of curves"
_REFERENCES: Final = ("--", ":", "-.")


@checked
def deletion_curves(
    curves: pd.DataFrame,
    *,
    reference: str | Sequence[str] = "random",
    deleted: str = "share deleted",
    change: str = "change of the image",
    ax: Axes | None = None,
) -> Axes:
    """Draw how the change grows with the deleted share, for each curve and for reference curves.

    Parameters
    ----------
    curves
        Tidy table with one row per curve and share, and the columns ``curve``, ``share`` (0 to 1), ``mean``, ``low``
        and ``high``.
    reference
        Curves to compare with, such as random deletion, drawn in gray without markers. Names that the table lacks are
        ignored.
    deleted, change
        Axis labels: what was deleted, and what was measured in which unit.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend gives the area under each curve (AUC) by the trapezoidal rule, divided by the range of its
        shares, which makes it a mean change; "–" if a mean is missing.

    Raises
    ------
    ValueError
        If columns are missing, a share lies outside 0 to 1 or is repeated, or curves span different shares, which
        would make their areas incomparable.
    """
    require(curves, ["curve", "share", "mean", "low", "high"], _WHAT)
    _check_shares(curves)
    references = [reference] if isinstance(reference, str) else list(reference)
    names = list(curves["curve"].unique())
    drawn = [n for n in names if n not in references]
    areas = {name: _area(curves[curves["curve"] == name]) for name in names}
    labels = {
        n: f"{name_label(n)} (AUC {'–' if np.isnan(a) else f'{a:.3f}'})" for n, a in areas.items()
    }
    own = ax is None
    ax = ax or new_axes(2.6)
    styles = {name: {**series_style(i), "markersize": 3.5} for i, name in enumerate(drawn)}
    for i, name in enumerate(n for n in names if n in references):
        styles[name] = {"color": CONTROL, "linestyle": _REFERENCES[i % len(_REFERENCES)]}
    hollow = staggered = False
    for name, style in styles.items():
        rows = curves[curves["curve"] == name].sort_values("share")
        places = rows["share"].to_numpy(float)
        values = rows[["mean", "low", "high"]].to_numpy(float).T
        look = {**style, "linewidth": 1.3, "label": labels[name]}
        if name in drawn:
            hollow |= draw_curve(ax, places, values, look, number=drawn.index(name), of=len(drawn))
            staggered |= is_staggered(len(places), len(drawn))
        else:
            draw_band(ax, places, values, look, strength=0.1)
    notes = ["bars are staggered across curves"] * staggered + ["hollow: no interval"] * hollow
    ax.set_xlabel("\n".join([deleted, *(["; ".join(notes)] if notes else [])]))
    ax.set_ylabel(f"{change}\nmean; bars, band: {interval_name(curves)}{_sample(curves)}")
    plain_axes(ax)
    legend_above(ax, grow=own)
    return ax


def _sample(curves: pd.DataFrame) -> str:
    """Return the number of prompts as text, if the table has it."""
    if "n_prompts" not in curves.columns:
        return ""
    return f", {plural(int(curves['n_prompts'].max()), 'prompt')}"


def _check_shares(curves: pd.DataFrame) -> None:
    shares = curves["share"]
    if not shares.between(0, 1).all():
        raise ValueError(
            f"Expected shares from 0 to 1, but got {shares.min():g} to {shares.max():g}."
        )
    if curves.duplicated(["curve", "share"]).any():
        raise ValueError(
            "Expected one row per curve and share, but some have several: average them first."
        )
    spans = curves.groupby("curve", sort=False)["share"].agg(["min", "max"])
    if len(spans.drop_duplicates()) > 1:
        listed = ", ".join(f"{name}: {a:g} to {b:g}" for name, a, b in spans.itertuples())
        raise ValueError(f"Expected curves that span the same shares, but got {listed}.")


def _area(rows: pd.DataFrame) -> float:
    """Return the mean height of a curve, its area divided by its width; NaN for a single point."""
    rows = rows.sort_values("share")
    width = rows["share"].max() - rows["share"].min()
    return float(np.trapezoid(rows["mean"], rows["share"]) / width) if width else float("nan")
