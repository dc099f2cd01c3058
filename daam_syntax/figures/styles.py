"""What all figures share: colours that most people can tell apart, new axes, legends that fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import ScaledTranslation

PALETTE: Final = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00", "#009E73", "#CC79A7")
"""Colours of Okabe and Ito (2008), made for colour-blind readers; without yellow, too light on white."""

CONTROL: Final = "0.2"
"""The control's grey: no relation has it."""

_VECTOR_TEXT: Final[dict[Any, Any]] = {"pdf.fonttype": 42, "svg.fonttype": "none"}
_DASHES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


def series_style(number: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the series with this number; the first 24 differ in the first two."""
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": _DASHES[number // len(PALETTE) % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def new_axes(height: float, width: float | None = None) -> Axes:
    """Return axes of a new figure of this height, inches; as wide as the user's figures are if None."""
    size = (rcParams["figure.figsize"][0] if width is None else width, height)
    _, ax = plt.subplots(figsize=size, layout="constrained")
    return ax


def points(size: str = "medium") -> float:
    """Return a font size such as "small" in points, under the user's settings."""
    return FontProperties(size=size).get_size_in_points()


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of labels fit beside each other in a figure of this width, inches."""
    letter = 0.52 * points("small") / 72  # inches, about; a column needs room for its mark too
    for number in range(len(labels), 1, -1):
        columns = np.array_split(list(map(len, labels)), number)  # as matplotlib fills them
        if letter * sum(8 + int(column.max()) for column in columns) < width - 0.75:
            return number
    return 1


def legend_above(ax: Axes, *, lift: float = 3.0, grow: bool = False) -> None:
    """Put the legend above the axes, in as many columns as fit.

    Parameters
    ----------
    ax
        Axes whose artists have labels.
    lift
        Points between their top and the legend.
    grow
        Whether to make the figure higher by the legend's height: for figures of our own.
    """
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    whole = ax.get_position().width / 0.775  # of the figure: 0.775 is what axes alone in it have
    columns = legend_columns(labels, whole * figure.get_figwidth())
    if grow:
        rows = math.ceil(len(labels) / columns)
        figure.set_figheight(figure.get_figheight() + 1.4 * points("small") / 72 * rows)
    ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        bbox_transform=ax.transAxes + ScaledTranslation(0, lift / 72, figure.dpi_scale_trans),
        ncols=columns,
        fontsize="small",
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        handlelength=2.2,
        columnspacing=1.0,
    )


def note_missing(ax: Axes, place: float) -> None:
    """Write at the left end of a row that it was not measured."""
    ax.annotate(
        "not measured",
        (0.0, place),
        (4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize="small",
        color="0.4",
    )


def save(figure: Figure | Axes, path: str | Path, *, dpi: float = 300) -> Path:
    """Write a figure to a file, in its own size; PDF and SVG hold their text as text (see `paper`).

    Parameters
    ----------
    figure
        A figure, or axes of it.
    path
        Where to; its suffix is the format.
    dpi
        Dots per inch of PNG files, and of maps within the others.

    Returns
    -------
    pathlib.Path
        The path.
    """
    whole = figure if isinstance(figure, Figure) else figure.get_figure(root=True)
    assert whole is not None
    with mpl.rc_context(_VECTOR_TEXT):
        whole.savefig(path, dpi=dpi)
    return Path(path)


@contextmanager
def paper(width: float = 3.3) -> Iterator[None]:
    """Make figures for a column of a paper, and save them with text that stays text.

    Within it, new figures are `width` inches wide, fonts have 8 points (labels of ticks and legends 6.7), and PDF
    and SVG files hold their text as text, PDF with its fonts embedded (Type 42, as publishers ask).

    Parameters
    ----------
    width
        Inches: about 3.3 for a column, 6.6 for a page.
    """
    settings: dict[Any, Any] = {
        "figure.figsize": (width, 2.4),
        "figure.dpi": 150,
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "axes.linewidth": 0.6,
        **_VECTOR_TEXT,
    }
    with mpl.rc_context(settings):
        yield
