"""The maps of words in the frames of a video: next to each other, and as an animation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from daam_syntax.figures.maps.overlays import ROOT_SCALE_LABEL, overlay
from daam_syntax.figures.shared.arguments import expect
from daam_syntax.figures.shared.colors import overlay_colors, root_norm
from daam_syntax.figures.shared.composites import new_figure
from daam_syntax.figures.shared.styles import add_color_bar, points, wrapped
from daam_syntax.figures.shared.word_labels import label, label_fonts
from daam_syntax.maps import HeatMap, VideoMaps
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked, within
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

Frames = Sequence["Image | np.ndarray"] | np.ndarray
"""The frames of a video: images, or one array. *Shape:* ``(frame, y, x, 3)``."""

_BAR: Final = 0.8  # inches for the color bar and its labels
_LEAST: Final = 1.25  # inches: room for the label of the color bar
_WIDEST: Final = 1.6  # inches of a frame


@checked(vmax=POSITIVE, width=within(0.5, 100), video=OWN)
def frame_grid(
    images: Frames,
    video: VideoMaps,
    *,
    words: Iterable[int | str] | None = None,
    vmax: float | None = None,
    width: float = 6.6,
) -> Figure:
    """Draw the maps of words over each latent frame of a video: a row for each word, a column for each frame.

    A latent frame is shown over the middle one of the frames of the video that it becomes. All maps share one
    square-root color scale.

    Parameters
    ----------
    images
        All frames of the video.
    video
        The heat maps of the video.
    words
        The words, by index or text; all that have a map if None.
    vmax
        Mean attention probability at the top of the color scale; the largest value of these words if None.
    width
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that a notebook displays once; save it with ``figure.savefig(path)``.

    Raises
    ------
    TypeError
        If `video` is not `VideoMaps`.
    ValueError
        If there are more or fewer images than frames of the video.
    WordError
        If a word has no map, or its text is ambiguous.
    """
    _check(images, video)
    chosen = [video.sentence.index(w) for w in (video.mapped if words is None else words)]
    if not chosen:
        raise ValueError("Expected at least one word to draw, but got none.")
    top = _largest(video, chosen) if vmax is None else vmax
    columns, (height, breadth) = len(video.frames), video.image_size
    cell = min(_WIDEST, (width - _BAR) / columns)
    tall = cell * height / breadth + 1.6 * points("small") / 72
    figure = new_figure(
        columns * cell + _BAR, max(_LEAST, len(chosen) * tall) + 0.15, layout="constrained"
    )
    axes = figure.subplots(len(chosen), columns, squeeze=False)
    for row, word in zip(axes, chosen, strict=True):
        for ax, frame, drawn in zip(row, video.frames, video.drawn, strict=True):
            overlay(
                images[drawn[len(drawn) // 2]], frame[word], ax=ax, norm=root_norm(top), title=""
            )
        name = label(video.sentence[word].text)
        row[0].set_title(
            name, loc="left", fontsize="small", fontfamily=label_fonts(), parse_math=False
        )
    for ax, drawn in zip(axes[-1], video.drawn, strict=True):
        ax.text(
            0.5,
            -0.04,
            _numbers(drawn),
            transform=ax.transAxes,
            ha="center",
            va="top",
            fontsize="small",
        )
    figure.supxlabel("frame of the video", fontsize="small")
    text = wrapped(ROOT_SCALE_LABEL, 20) if len(chosen) * tall < 2 else ROOT_SCALE_LABEL
    scale = ScalarMappable(root_norm(top), overlay_colors())
    add_color_bar(scale, text, ax=figure.axes, pad=0.01)
    return figure


@checked(rate=within(0.01, 100), vmax=POSITIVE, width=within(0.5, 100), video=OWN, word=OWN)
def animate(
    images: Frames,
    video: VideoMaps,
    word: int | str,
    path: str | Path,
    *,
    rate: float = 8.0,
    vmax: float | None = None,
    width: float = 3.3,
) -> Path:
    """Write a GIF of a video with the map of a word over each of its frames.

    Each frame of the video has the map of the latent frame that became it. All share one square-root color scale.

    Parameters
    ----------
    images
        All frames of the video.
    video
        The heat maps of the video.
    word
        The word, by index or text.
    path
        The file, which ends in ``.gif``.
    rate
        Frames per second.
    vmax
        Mean attention probability at the top of the color scale; the word's largest value if None.
    width
        Width in inches, of 100 pixels each.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If `video` is not `VideoMaps`.
    ValueError
        If there are more or fewer images than frames of the video, or the file is not a GIF.
    WordError
        If the word has no map, or its text is ambiguous.
    """
    _check(images, video)
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"Expected a file that ends in .gif, but got {path.name!r}.")
    index = video.sentence.index(word)
    top = _largest(video, [index]) if vmax is None else vmax
    maps = [video.frames[video.latent_frame(number)][index] for number in range(video.n_drawn)]
    drawn = [_drawn(image, each, top, width) for image, each in zip(images, maps, strict=True)]
    with whole_file(path) as partial:
        drawn[0].save(
            partial, "GIF", save_all=True, append_images=drawn[1:], duration=1000 / rate, loop=0
        )
    return path


def _drawn(image: Image | np.ndarray, heat_map: HeatMap, vmax: float, width: float) -> Image:
    """Draw an overlay as an image."""
    from PIL import Image as Images

    height, breadth = heat_map.image_size
    figure = plt.Figure(figsize=(width, width * height / breadth), dpi=100)
    canvas = FigureCanvasAgg(figure)
    overlay(image, heat_map, ax=figure.add_axes((0, 0, 1, 1)), norm=root_norm(vmax), title="")
    canvas.draw()
    return Images.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _check(images: Frames, video: VideoMaps) -> None:
    expect(video, VideoMaps)
    if len(images) != video.n_drawn:
        raise ValueError(
            f"Expected the {video.n_drawn} frames of the video, but got {len(images)} images: pass all frames that the "
            "pipeline returned, such as pipe(..., output_type='np').frames[0]."
        )


def _largest(video: VideoMaps, words: Iterable[int]) -> float:
    return max((float(f[word].resize().max()) for f in video.frames for word in words), default=1.0)


def _numbers(drawn: range) -> str:
    return f"{drawn[0]}" if len(drawn) == 1 else f"{drawn[0]}–{drawn[-1]}"
