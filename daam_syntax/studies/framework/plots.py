"""Figures that several studies have."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from daam_syntax.analysis import Estimate
from daam_syntax.figures.shared.colors import CONTROL, PALETTE, color_map
from daam_syntax.studies.framework.findings import Finding, is_difference, name_of

_LABEL: Final = 50  # characters per line of a label
_PANEL: Final = 1.7  # inches: the width of an image
_TITLE: Final = 44  # characters of a line of a title
_UNDER: Final = 19  # characters per line of its name; more would touch the next name
_ROW, _FRAME = 0.28, 0.95  # inches: a line of a label; title and axis of a panel
_BETWEEN: Final = (
    0.08  # inches: above and below a panel, so that a title is apart from the axis above it
)


def draw_findings(findings: Sequence[Finding]) -> Figure:
    """Plot the estimates of a study with their intervals, one panel for each finding that has estimates.

    A finding with means and differences has two panels, because a scale that fits both shows neither.

    Parameters
    ----------
    findings
        Estimates without an interval get a hollow marker; undefined ones are labeled as such.

    Returns
    -------
    matplotlib.figure.Figure
        The panels, one below the other, each with its own scale.
    """
    drawn = [
        part
        for finding in findings
        if finding.estimates
        for part in _parts(_with_measures(finding))
    ]
    heights = [_FRAME + sum(_ROW * _lines(e) for e in finding.estimates) for finding in drawn]
    figure, axes = plt.subplots(
        max(len(drawn), 1),
        1,
        figsize=(7.4, sum(heights) or 1),
        height_ratios=heights or None,
        squeeze=False,
    )
    figure.set_layout_engine("constrained", h_pad=_BETWEEN)
    for ax, finding in zip(axes[:, 0], drawn, strict=False):
        _draw_panel(ax, finding)
    if drawn:
        axes[-1, 0].set_xlabel(
            f"{drawn[-1].unit}\n\n(n): prompts; bars: {_interval(drawn)}; hollow: no interval",
            fontsize="small",
        )
    return figure


def _interval(drawn: Sequence[Finding]) -> str:
    """Return what the bars are, with the level if it is that of all intervals."""
    levels = {e.level for part in drawn for e in part.estimates}
    return f"{100 * levels.pop():g}% intervals" if len(levels) == 1 else "intervals"


def _lines(estimate: Estimate) -> int:
    return len(_label(estimate).splitlines())


def _label(estimate: Estimate) -> str:
    """Return the label with its number of prompts, which never stands in a line of its own."""
    n = f"\N{NO-BREAK SPACE}({estimate.n_prompts})"
    return textwrap.fill(f"{estimate.label}{n}", _LABEL)


def _with_measures(finding: Finding) -> Finding:
    """Name the measures in the labels where two of them stand side by side."""
    if not finding.side_by_side:
        return finding
    named = (replace(e, label=f"{e.label}, {name_of(e.measure)}") for e in finding.estimates)
    return replace(finding, estimates=tuple(named))


def _parts(finding: Finding) -> list[Finding]:
    """Return the means and the differences of a finding apart; two measures of one estimate stay together."""
    size = 2 if finding.side_by_side else 1
    every = finding.estimates
    groups = [every[i : i + size] for i in range(0, len(every), size)]
    compared = [any(map(is_difference, group)) for group in groups]
    if all(compared) or not any(compared):
        return [finding]
    means, differences = (
        tuple(
            e
            for group, is_one in zip(groups, compared, strict=True)
            if is_one == kind
            for e in group
        )
        for kind in (False, True)
    )
    return [
        replace(finding, estimates=means),
        replace(finding, title="", unit="difference", estimates=differences),
    ]


def _draw_panel(ax: Axes, finding: Finding) -> None:
    """Plot estimates from top to bottom, with a line at 0 if they are differences."""
    found = finding.estimates
    sizes = np.array([_lines(estimate) for estimate in found], dtype=float)
    places = sizes.sum() - (sizes.cumsum() - sizes / 2)
    values = np.array([[e.estimate, e.low, e.high] for e in found], dtype=float)
    if np.nanmin(values, initial=0.0) < 0 or any(map(is_difference, found)):
        ax.axvline(0, color=CONTROL, lw=0.8, ls="--")
    bounded = ~np.isnan(values[:, 1])
    measures = np.arange(len(found)) % 2 if finding.side_by_side else np.zeros(len(found), int)
    for number, (color, marker) in enumerate(zip(PALETTE, "os", strict=False)):
        own = measures == number
        ax.hlines(places[own], values[own, 1], values[own, 2], color=color, lw=1.8)
        for chosen, face in ((own & bounded, color), (own & ~bounded, "white")):
            style: dict[str, Any] = {"color": color, "markerfacecolor": face, "ms": 5}
            ax.plot(values[chosen, 0], places[chosen], marker, **style)
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
    title = textwrap.fill(finding.title, _TITLE)  # axes are narrower than the figure
    ax.set_title(title, fontsize="medium", loc="left", parse_math=False)
    ax.set_xlabel(finding.unit, fontsize="small")
    ax.tick_params(axis="x", labelsize="small")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.margins(x=0.08)
    ax.spines[["top", "right", "left"]].set_visible(False)


def draw_images(images: Sequence[tuple[str, np.ndarray]], title: str = "") -> Figure:
    """Show images in a row, each below its name.

    Parameters
    ----------
    images
        Names and values: RGB in [0, 1], *shape* (y, x, 3), or a mask or map, *shape* (y, x).
    title
        Title of the figure.
    """
    n = len(images)
    height, width = images[0][1].shape[:2]
    names = [
        "\n".join(textwrap.fill(line, _UNDER) for line in name.splitlines()) for name, _ in images
    ]
    most = max(name.count("\n") + 1 for name in names)
    above = 0.1 + 0.15 * most + (0.18 if title else 0)
    figure, axes = plt.subplots(
        1,
        n,
        figsize=(_PANEL * n, _PANEL * min(height / width, 2) + above),
        layout="constrained",
        squeeze=False,
    )
    for ax, name, (_, image) in zip(axes[0], names, images, strict=True):
        ax.imshow(image, cmap=color_map(), interpolation="nearest")
        ax.set_title(name, fontsize="small", parse_math=False)
        ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure
