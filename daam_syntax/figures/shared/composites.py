"""Figures of several axes that a notebook displays exactly once."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


class CompositeFigure(Figure):
    """A figure of several axes, managed by pyplot.

    A notebook displays an open pyplot figure at the end of its cell, and would display it a second time if it were the
    value of the cell. This class displays itself once: as the value of a cell, in ``display``, or at the end of the
    cell, also if the cell ends with a semicolon.
    """

    def _ipython_display_(self) -> None:
        """Display the figure where it is asked for, and take it from those that the end of the cell displays."""
        from IPython.core.pylabtools import print_figure
        from IPython.display import Image, display

        display(Image(print_figure(self, "png", bbox_inches=None)))
        plt.close(self)


def new_figure(width: float, height: float, **options: Any) -> CompositeFigure:
    """Return a new figure for several axes.

    Parameters
    ----------
    width, height
        Size in inches.
    **options
        Further arguments of `matplotlib.pyplot.figure`, such as ``layout``.
    """
    figure = plt.figure(figsize=(width, height), FigureClass=CompositeFigure, **options)
    assert isinstance(figure, CompositeFigure)
    return figure
