"""Figures of the study of words: a strip of images of one prompt, and attention beside change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from daam_syntax.figures.shared.colors import PALETTE, color_map
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.framework.word_classes import class_name
from daam_syntax.studies.words.deletions import ATTENTION, TEXT, Deletion, attention_to, words_of
from daam_syntax.util.wording import plural

_SIDE: Final = 1.05  # inches, of an image
_MOST: Final = 12  # columns of words
_MARKERS: Final = "osD^vPX*<>"


@dataclass(frozen=True)
class Strip:
    """The images of one prompt without each of its words.

    Attributes
    ----------
    prompt, words
        The prompt, and its words.
    original
        RGB in [0, 1]. *Shape:* ``(y, x, 3)``.
    maps
        The map of each word. *Shape of each:* ``(y, x)``.
    attention
        The attention to each word, 0 to 1.
    without
        For each condition that is shown, the image and its mean change for each word; None where there is none.
    """

    prompt: str
    words: tuple[str, ...]
    original: np.ndarray
    maps: tuple[np.ndarray, ...]
    attention: tuple[float, ...]
    without: dict[str, tuple[tuple[np.ndarray, float] | None, ...]]

    @classmethod
    def of(cls, maps: HeatMaps, original: np.ndarray, deletions: Sequence[Deletion]) -> Strip:
        """Take the strip of a prompt from its deletions; of a long prompt, the first words."""
        words = words_of(maps)[:_MOST]
        drawn = {(d.word, d.condition): (d.image, float(d.change.mean())) for d in deletions}
        return cls(
            maps.prompt,
            tuple(maps.sentence[word].text for word in words),
            original,
            tuple(maps[word].resize(original.shape[:2]) for word in words),
            tuple(attention_to(maps, word) for word in words),
            {
                condition: tuple(drawn.get((word, condition)) for word in words)
                for condition in (ATTENTION, TEXT)
            },
        )


def draw_strip(strip: Strip) -> Figure:
    """Show the original, then for each word its map, and the images without its attention and without the word.

    Each map has a color scale of its own, from 0 to its maximum, because faint words look empty on a common one. Below
    each map stands the attention to the word, below each image its change.
    """
    n = len(strip.words)
    height, width = strip.original.shape[:2]
    side = _SIDE * height / width
    figure, axes = plt.subplots(
        3,
        n + 2,
        figsize=(_SIDE * (n + 1.75), 3 * (side + 0.16) + 0.24),
        width_ratios=[0.7, *[1.0] * (n + 1)],
        gridspec_kw={"wspace": 0.06, "left": 0.005, "right": 0.995, "top": 0.93, "bottom": 0.05},
    )
    for ax in axes.flat:
        ax.set_axis_off()
    labels = (
        "heat map,\nfrom 0 to its\nmaximum",
        "image if the\nattention is\ndeleted",
        "image if the\nword is not\nin the text",
    )
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.text(0, 0.5, label, transform=ax.transAxes, va="center", fontsize="small")
    axes[0, 1].imshow(strip.original, interpolation="nearest")
    axes[0, 1].set_title("image", fontsize="small")
    for column, (word, values, share) in enumerate(
        zip(strip.words, strip.maps, strip.attention, strict=True), start=2
    ):
        axes[0, column].imshow(values, vmin=0, vmax=float(values.max()) or 1.0, cmap=color_map())
        axes[0, column].set_title(word, fontsize="medium", parse_math=False)
        _caption(axes[0, column], f"attention {100 * share:.1f}%")
    for row, images in enumerate(strip.without.values(), start=1):
        for column, found in enumerate(images, start=2):
            if found is not None:
                axes[row, column].imshow(found[0], interpolation="nearest")
                _caption(axes[row, column], f"change {100 * found[1]:.1f}%")
    return figure


def _caption(ax: Axes, text: str) -> None:
    ax.text(0.5, -0.02, text, transform=ax.transAxes, ha="center", va="top", fontsize="x-small")


def draw_effects(rows: pd.DataFrame) -> Figure:
    """Plot the change of the image against the attention to the word, on logarithmic axes, by class of word."""
    figure, ax = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    by_class = rows.groupby("class")["change"].mean().sort_values(ascending=False)
    smallest = rows.loc[rows["change"] > 0, "change"].min() if (rows["change"] > 0).any() else 1e-6
    for number, name in enumerate(by_class.index):
        own = rows[rows["class"] == name]
        ax.plot(
            100 * own["attention"],
            100 * own["change"].clip(lower=smallest),
            _MARKERS[number % len(_MARKERS)],
            color=PALETTE[number % len(PALETTE)],
            ms=4.5,
            alpha=0.8,
            mew=0,
            label=f"{class_name(str(name), many=True)} ({len(own)})",
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    n = plural(rows["prompt_id"].nunique(), "prompt")
    ax.set_xlabel(f"attention to the word (%)\n(n): words in the images of {n}")
    ax.set_ylabel("change of the image without it (%)")
    ax.grid(color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
