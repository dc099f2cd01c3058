"""Figures that several studies draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.figures.styles import CONTROL, PALETTE


def draw_estimates(table: pd.DataFrame, *, unit: str) -> Figure:
    """Draw estimates with their intervals, one a line, over a line at 0.

    Parameters
    ----------
    table
        See `daam_syntax.studies.common.estimates_table`. Those without an interval are hollow.
    unit
        Label of the x axis.

    Returns
    -------
    matplotlib.figure.Figure
        The first estimate is on top.
    """
    figure, ax = plt.subplots(figsize=(6.6, 0.9 + 0.34 * len(table)), layout="constrained")
    places = np.arange(len(table))[::-1]
    ax.axvline(0, color=CONTROL, lw=0.8, ls="--")
    ax.hlines(places, table["low"], table["high"], color=PALETTE[0], lw=1.8)
    with_interval = table["low"].notna().to_numpy()
    for chosen, face in ((with_interval, PALETTE[0]), (~with_interval, "white")):
        ax.plot(
            table["estimate"][chosen],
            places[chosen],
            "o",
            color=PALETTE[0],
            markerfacecolor=face,
            ms=5,
        )
    labels = [f"{label} ({n})" for label, n in zip(table["label"], table["n_prompts"], strict=True)]
    ax.set_yticks(places, labels, fontsize="small", parse_math=False)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel(f"{unit}\nestimate with interval (n prompts)", fontsize="small")
    ax.tick_params(axis="x", labelsize="small")
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return figure


def draw_pictures(pictures: Sequence[tuple[str, np.ndarray]], *, title: str = "") -> Figure:
    """Draw pictures in a row, each under its name.

    Parameters
    ----------
    pictures
        Names, and RGB in [0, 1] of shape (y, x, 3) or masks and maps of shape (y, x).
    title
        Above all.
    """
    n = len(pictures)
    figure, axes = plt.subplots(
        1, n, figsize=(1.5 * n, 2.1 if title else 1.8), layout="constrained", squeeze=False
    )
    for ax, (name, picture) in zip(axes[0], pictures, strict=True):
        ax.imshow(picture, cmap="viridis", interpolation="nearest")
        ax.set_title(name, fontsize="small", parse_math=False)
        ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure
