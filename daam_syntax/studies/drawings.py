"""What studies of maps and pictures share: every prompt drawn under a trace, and the schemes of its parse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daam_syntax.drawing import Drawing, DrawingSettings, draw
from daam_syntax.language import Sentence
from daam_syntax.studies.common import progress_bar


def draw_all(
    pipe: Any,
    sentences: Sequence[Sentence],
    seeds: int,
    settings: DrawingSettings,
    *,
    progress: bool = False,
) -> Iterator[Drawing]:
    """Draw every prompt once per seed with its maps, under a progress bar.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    sentences
        The parsed prompts.
    seeds
        Images per prompt.
    settings
        How to draw.
    progress
        Whether to show the bar.

    Yields
    ------
    Drawing
        One per prompt and seed, prompt by prompt.
    """
    with progress_bar(progress, len(sentences) * seeds) as advance:
        for drawing in draw(sentences, pipe, seeds=range(seeds), settings=settings):
            yield drawing
            advance()


def best_scheme(sentences: Sequence[Sentence]) -> str:
    """Return the scheme of Tang et al. (2023), "enhanced", where all parses have it, else the parser's own."""
    enhanced = all("enhanced" in sentence.edges for sentence in sentences)
    return "enhanced" if enhanced else "native"


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes stand in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
