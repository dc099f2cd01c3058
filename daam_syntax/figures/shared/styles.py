"""New axes, color bars, legends that fit, and sizes for a paper."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import ScaledTranslation

from daam_syntax.figures.shared.word_labels import label_fonts, text_width
from daam_syntax.util.arguments.checks import checked, within
from daam_syntax.util.whole_files import file_errors

_NO_BREAK: Final = "\u00a0"
_VECTOR_TEXT: Final[dict[Any, Any]] = {"pdf.fonttype": 42, "svg.fonttype": "none"}


def new_axes(height: float, width: float | None = None) -> Axes:
    """Return the axes of a new figure.

    Parameters
    ----------
    height
        Height of the figure in inches.
    width
        Width in inches; that of matplotlib's current settings if None.
    """
    size = (rcParams["figure.figsize"][0] if width is None else width, height)
    _, ax = plt.subplots(figsize=size, layout="constrained")
    return ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure that contains some axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def points(size: str = "medium") -> float:
    """Return a font size such as "small" in points, under matplotlib's current settings."""
    return FontProperties(size=size).get_size_in_points()


def plain_axes(ax: Axes, grid: Literal["both", "x"] = "both") -> None:
    """Draw a light grid behind the data, without a frame at the top and right; `grid` axes get small tick labels."""
    ax.tick_params(axis=grid, labelsize="small")
    ax.grid(axis=grid, color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def add_color_bar(
    scale: ScalarMappable, label: str, *, fontsize: str | float = "small", **placement: Any
) -> Colorbar:
    """Add a color bar with its label, and return it.

    Parameters
    ----------
    scale
        The color scale.
    label
        What the colors show.
    fontsize
        Size of the label and of the tick labels.
    **placement
        Arguments of `matplotlib.figure.Figure.colorbar`: ``ax`` (axes, or a list of them, that give up room for the
        bar) or ``cax`` (axes for the bar itself), and further options.
    """
    place = placement["cax"] if "cax" in placement else placement["ax"]
    figure = figure_of(place[0] if isinstance(place, Sequence) else place)
    bar = figure.colorbar(scale, **placement)
    bar.set_label(label, fontsize=fontsize)
    bar.ax.tick_params(labelsize=fontsize)
    bar.outline.set_linewidth(0.5)
    return bar


def wrapped(label: str, width: int) -> str:
    """Return a label in lines, not longer than a width if possible, that are not broken inside parentheses."""
    whole = re.sub(r"\(.*?\)", lambda match: match[0].replace(" ", _NO_BREAK), label)
    lines = textwrap.fill(whole, width, break_long_words=False, break_on_hyphens=False)
    return lines.replace(_NO_BREAK, " ")


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return the number of legend columns that fit next to each other.

    Parameters
    ----------
    labels
        Texts of the legend.
    width
        Width of the figure in inches.
    """
    # Approximate width of a letter in inches; a column also needs room for its mark.
    letter = 0.52 * points("small") / 72
    widths = [max(letter * len(name), text_width(name, points("small"))) for name in labels]
    for number in range(len(labels), 1, -1):
        # The order in which matplotlib fills columns.
        columns = np.array_split(widths, number)
        if sum(8 * letter + float(column.max()) for column in columns) < width - 0.75:
            return number
    return 1


def legend_above(ax: Axes, *, lift: float = 3.0, grow: bool = False) -> None:
    """Put the legend above the axes, in as many columns as fit.

    Parameters
    ----------
    ax
        Axes whose artists have labels.
    lift
        Distance between the top of the axes and the legend in points.
    grow
        Whether to make the figure taller by the height of the legend; only for a figure that we created ourselves.
    """
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    figure = figure_of(ax)
    whole = ax.get_position().width / 0.775  # 0.775: the width of axes alone in a figure
    columns = legend_columns(labels, whole * figure.get_figwidth())
    if grow:
        rows = math.ceil(len(labels) / columns)
        figure.set_figheight(figure.get_figheight() + 1.4 * points("small") / 72 * rows)
    legend = ax.legend(
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
    for text in legend.get_texts():
        text.set(parse_math=False, fontfamily=label_fonts())


def mark_unmeasured(ax: Axes, place: float, note: str = "not measured") -> None:
    """Write a note such as "not measured" at the left end of the row at height `place`."""
    ax.annotate(
        note,
        (0.0, place),
        (4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize="small",
        color="0.4",
    )


@checked(dpi=within(10, 10_000))
def save(figure: Figure | Axes, path: str | Path, *, dpi: float = 300) -> Path:
    """Write a figure to a file at its own size. PDF and SVG files keep their text as text (see `paper`).

    Parameters
    ----------
    figure
        A figure, or any of its axes.
    path
        The file; its suffix determines the format.
    dpi
        Dots per inch of a PNG file, and of heat maps in other formats.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    whole = figure if isinstance(figure, Figure) else figure_of(figure)
    with mpl.rc_context(_VECTOR_TEXT), file_errors(Path(path)):
        whole.savefig(path, dpi=dpi)
    return Path(path)


@contextmanager
@checked(width=within(0.5, 100))
def paper(width: float = 3.3) -> Iterator[None]:
    """Size figures for a column of a paper, and save them with text that stays text.

    Inside the ``with`` block, new figures are `width` inches wide, fonts have 8 points (tick labels and legends 6.7),
    and PDF and SVG files keep their text as text. PDF files embed their fonts as Type 42, as publishers require.

    Parameters
    ----------
    width
        Width in inches: about 3.3 for a column, 6.6 for a page.
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
