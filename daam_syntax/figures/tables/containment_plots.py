"""IoD against IoH: overlap and relative size in one picture."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes

from daam_syntax.figures.styles import CONTROL, PALETTE, legend_above, new_axes, points
from daam_syntax.figures.tables.table_columns import measure_label, require, require_one
from daam_syntax.util.wording import plural

_WHAT: Final = "a pair table (see `measure_pairs`)"
_SIDE: Final = 4.2  # inches, or the width of a narrower figure
_RATIOS: Final = (8, 4, 2)  # and their inverses


def containment(pairs: pd.DataFrame, *, control: str = "unrelated", ax: Axes | None = None) -> Axes:
    """Draw each pair at its IoH and IoD, over lines of equal area ratio.

    Where masks overlap, IoD / IoH is exactly the head's area over the dependent's: a pair's direction from the
    origin says how large the masks are to each other, and only its distance from there how far they overlap.

    Parameters
    ----------
    pairs
        A pair table of one scheme and one threshold.
    control
        Kind of the pairs that are the control, drawn as grey crosses.
    ax
        Where to draw; new axes if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; the legend counts the pairs, and those that could not be measured.

    Raises
    ------
    ValueError
        If columns are missing, or schemes or thresholds are mixed.
    """
    require(pairs, ["kind", "prompt_id", "iod", "ioh"], _WHAT)
    require_one(pairs, ["scheme", "threshold"], _WHAT)
    own = ax is None
    side = min(_SIDE, rcParams["figure.figsize"][0])
    ax = ax or new_axes(side, side)
    _draw_isolines(ax)
    is_control = pairs["kind"] == control
    groups: tuple[tuple[pd.DataFrame, str, dict[str, Any]], ...] = (
        (pairs[is_control], "unrelated", {"marker": "x", "c": CONTROL, "alpha": 0.45, "lw": 0.9}),
        (pairs[~is_control], "head and dependent", {"c": PALETTE[0], "alpha": 0.7, "lw": 0}),
    )
    for rows, name, style in groups:
        if len(rows):
            ax.scatter(rows["ioh"], rows["iod"], s=16, label=_count(rows, name), **style)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    n = plural(pairs["prompt_id"].nunique(), "prompt")
    ax.set_xlabel(f"{measure_label('ioh')}\none mark per pair and image, {n}")
    ax.set_ylabel(measure_label("iod"))
    ax.tick_params(labelsize="small")
    legend_above(ax, lift=6 + 1.5 * points("small"), grow=own)  # the ratios stand between
    return ax


def _count(rows: pd.DataFrame, name: str) -> str:
    missing = int(rows[["iod", "ioh"]].isna().any(axis=1).sum())
    note = f", {missing} not measured" if missing else ""
    return f"{name} ({plural(len(rows) - missing, 'pair')}{note})"


def _draw_isolines(ax: Axes) -> None:
    """Draw lines of equal |H| / |D| from the origin, and write the ratios where they leave the square."""
    for ratio in [*_RATIOS, 1, *(1 / r for r in _RATIOS)]:
        end = np.array([1.0, ratio]) / max(1.0, ratio)
        ax.plot([0, end[0]], [0, end[1]], color="0.8", lw=1.4 if ratio == 1 else 0.8, zorder=0)
    top = ax.secondary_xaxis("top")
    top.set_xticks([1 / r for r in _RATIOS] + [1], [f"{r}" for r in _RATIOS] + ["1"])
    right = ax.secondary_yaxis("right")
    right.set_yticks([1 / r for r in _RATIOS], [f"1/{r}" for r in _RATIOS])
    right.set_ylabel("head's area / dependent's area (lines)", color="0.35")
    for axis in (top, right):
        axis.tick_params(labelsize="small", length=2, labelcolor="0.35")
