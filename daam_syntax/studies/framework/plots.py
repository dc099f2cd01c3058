"""Figures that several studies draw."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daam_syntax.analysis import Estimate
from daam_syntax.figures.styles import CONTROL, PALETTE
from daam_syntax.studies.framework.findings import Finding

_LABEL: Final = 46  # letters of a label in one line
_ROW, _FRAME = 0.28, 1.1  # inches: of a line, and of title and axis of a panel


def draw_answers(answers: Sequence[Finding]) -> Figure:
    """Draw the estimates of a study with their intervals, a panel for each answer that has any.

    Parameters
    ----------
    answers
        Estimates without an interval are hollow, undefined ones are said to be so.

    Returns
    -------
    matplotlib.figure.Figure
        Panels with axes of their own, one below the other.
    """
    drawn = [answer for answer in answers if answer.estimates]
    heights = [_FRAME + sum(_ROW * _lines(e) for e in answer.estimates) for answer in drawn]
    figure, axes = plt.subplots(
        max(len(drawn), 1),
        1,
        figsize=(7.4, sum(heights) or 1),
        height_ratios=heights or None,
        layout="constrained",
        squeeze=False,
    )
    for ax, answer in zip(axes[:, 0], drawn, strict=False):
        _draw_panel(ax, answer)
    return figure


def _lines(estimate: Estimate) -> int:
    return len(_label(estimate).splitlines())


def _label(estimate: Estimate) -> str:
    return textwrap.fill(f"{estimate.label} ({estimate.n_prompts})", _LABEL)


def _draw_panel(ax: Axes, answer: Finding) -> None:
    """Draw estimates from top to bottom, over a line at 0 where a difference is among them."""
    found = answer.estimates
    sizes = np.array([_lines(estimate) for estimate in found], dtype=float)
    places = sizes.sum() - (sizes.cumsum() - sizes / 2)
    values = np.array([[e.estimate, e.low, e.high] for e in found], dtype=float)
    if np.nanmin(values, initial=0.0) < 0 or any(not np.isnan(e.p) for e in found):
        ax.axvline(0, color=CONTROL, lw=0.8, ls="--")
    ax.hlines(places, values[:, 1], values[:, 2], color=PALETTE[0], lw=1.8)
    bounded = ~np.isnan(values[:, 1])
    for chosen, face in ((bounded, PALETTE[0]), (~bounded, "white")):
        style: dict[str, Any] = {"color": PALETTE[0], "markerfacecolor": face, "ms": 5}
        ax.plot(values[chosen, 0], places[chosen], "o", **style)
    for place in places[np.isnan(values[:, 0])]:
        ax.annotate(
            "undefined",
            (0.5, place),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="center",
            fontsize="small",
            color="0.4",
        )
    ax.set_yticks(places, [_label(e) for e in found], fontsize="small", parse_math=False)
    ax.set_ylim(-0.1, sizes.sum() + 0.1)
    ax.set_title(answer.title, fontsize="medium", loc="left", parse_math=False)
    ax.set_xlabel(f"{answer.unit}\nestimate with interval (n prompts)", fontsize="small")
    ax.tick_params(axis="x", labelsize="small")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.margins(x=0.08)
    ax.spines[["top", "right", "left"]].set_visible(False)


def draw_pictures(pictures: Sequence[tuple[str, np.ndarray]], title: str = "") -> Figure:
    """Draw pictures in a row, each under its name.

    Parameters
    ----------
    pictures
        Names, and RGB in [0, 1] of shape (y, x, 3) or masks and maps of shape (y, x).
    title
        Above all.
    """
    n = len(pictures)
    height, width = pictures[0][1].shape[:2]
    figure, axes = plt.subplots(
        1,
        n,
        figsize=(1.55 * n, 1.55 * min(height / width, 2) + (0.65 if title else 0.35)),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, picture) in zip(axes[0], pictures, strict=True):
        ax.imshow(picture, cmap="viridis", interpolation="nearest")
        lines = [textwrap.fill(line, 22) for line in name.splitlines()]
        ax.set_title("\n".join(lines), fontsize="small", parse_math=False)
        ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes stand in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
