"""IoD against IoH: overlap and relative size of masks in one figure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from daam_syntax.figures.shared.arguments import PAIR_TABLE, require, require_one
from daam_syntax.figures.shared.colors import CONTROL, PALETTE
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import legend_above, new_axes, points
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.wording import plural

_SIDE: Final = 4.2  # inches, if the settings allow that width
_MARKS: Final = 300  # most marks of a group that do not hide each other
_CELLS: Final = 20  # along a side
_LARGEST_DISK: Final = 110.0  # square points: about the area of a cell
_RATIOS: Final = (8, 4, 2)  # their inverses are drawn too


_MEANINGS: Final = {
    (False, False): "one mark per pair and image",
    (True, False): "darker gray: more pairs in the cell; disks: one pair each",
    (False, True): "larger disks: more pairs in the cell; crosses: one pair each",
    (True, True): "darker gray, larger disks: more pairs in the cell",
}
"""What the marks are, by whether there are many unrelated pairs, and many pairs of head and dependent."""


@checked
def containment(pairs: pd.DataFrame, *, control: str = "unrelated", ax: Axes | None = None) -> Axes:
    """Draw each pair at its IoH and IoD, over lines of equal area ratio.

    If two masks overlap, IoD / IoH is exactly the head's area divided by the dependent's area. The direction of a pair
    from the origin shows the relative size of its masks; only the distance from the origin shows how much they overlap.

    Parameters
    ----------
    pairs
        A pair table with one scheme and one threshold, see `measure_pairs`.
    control
        Kind of the control pairs, drawn as gray crosses. Of more than 300 pairs of a group, cells of the square are
        drawn instead: the darker, or the larger the disk, the more pairs they hold.
    ax
        Axes to draw on; new ones if None.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. The legend counts the pairs and those that could not be measured.

    Raises
    ------
    ValueError
        If columns are missing, or schemes or thresholds are mixed.
    """
    require(pairs, ["kind", "prompt_id", "iod", "ioh"], PAIR_TABLE)
    require_one(pairs, ["scheme", "threshold"], PAIR_TABLE)
    own = ax is None
    side = min(_SIDE, rcParams["figure.figsize"][0])
    ax = ax or new_axes(side, side)
    _draw_isolines(ax)
    is_control = pairs["kind"] == control
    others, related = pairs[is_control], pairs[~is_control]
    _draw_controls(ax, others)
    _draw_related(ax, related)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    n = plural(pairs["prompt_id"].nunique(), "prompt")
    shown = _MEANINGS[len(others) > _MARKS, len(related) > _MARKS]
    ax.set_xlabel(f"{measure_label('ioh')}\n{shown}, {n}")
    ax.set_ylabel(measure_label("iod"))
    ax.tick_params(labelsize="small")
    legend_above(ax, lift=6 + 1.5 * points("small"), grow=own)  # above the area ratios
    return ax


def _draw_controls(ax: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    label = _count(rows, "unrelated")
    if len(rows) <= _MARKS:
        style: dict[str, Any] = {"marker": "x", "c": CONTROL, "alpha": 0.45, "lw": 0.9}
        ax.scatter(rows["ioh"], rows["iod"], s=16, label=label, **style)
        return
    counts, edges = _counts(rows)
    ax.pcolormesh(
        edges,
        edges,
        np.ma.masked_equal(counts, 0).T,
        cmap="Greys",
        norm=LogNorm(0.3, 3 * counts.max()),  # neither white nor black
        zorder=-1,
    )
    ax.plot([], [], "s", color="0.7", ms=5, label=label)


def _draw_related(ax: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    label, color = _count(rows, "head and dependent"), PALETTE[0]
    if len(rows) <= _MARKS:
        ax.scatter(rows["ioh"], rows["iod"], s=16, c=color, alpha=0.7, lw=0, label=label)
        return
    counts, edges = _counts(rows)
    middles = (edges[:-1] + edges[1:]) / 2
    x, y = counts.nonzero()
    sizes = _LARGEST_DISK * counts[x, y] / counts.max()
    ax.scatter(
        middles[x], middles[y], s=np.maximum(sizes, 2), c=color, alpha=0.75, lw=0, label=label
    )


def _counts(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs in each cell of the square, *shape* ``(ioh, iod)``, and the edges of the cells."""
    measured = rows[["ioh", "iod"]].dropna()
    edges = np.linspace(0.0, 1.0, _CELLS + 1)
    return np.histogram2d(measured["ioh"], measured["iod"], bins=edges)[0], edges


def _count(rows: pd.DataFrame, name: str) -> str:
    missing = int(rows[["iod", "ioh"]].isna().any(axis=1).sum())
    note = f", {missing} not measured" if missing else ""
    return f"{name} ({plural(len(rows) - missing, 'pair')}{note})"


def _draw_isolines(ax: Axes) -> None:
    """Draw lines of equal area ratio |H| / |D| from the origin, and label them at the edges of the square."""
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
