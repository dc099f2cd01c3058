"""Figures of the study of contextless words: strips of images, and a summary of all conditions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from daam_syntax.figures.shared.colors import CONTROL, PALETTE
from daam_syntax.studies.contextless.conditions import (
    COLOR,
    ITSELF,
    LABELS,
    NUMBER,
    PLACE,
    ColoredNoun,
)
from daam_syntax.studies.contextless.drawing import Drawn
from daam_syntax.studies.contextless.findings import (
    BRINGING,
    COUNTED,
    NOUNS,
    REMOVING,
    TAKING,
    TURNING,
    select,
)
from daam_syntax.studies.contextless.outcomes import BOTH, OTHER, OWN

_SIDE: Final = 1.25  # inches, of an image
_COLUMNS: Final = 6
_UNDER: Final = 24  # characters per line below an image
_GAP, _TITLE, _CAPTION = (
    0.12,
    0.34,
    0.7,
)  # inches: beside an image, above a prompt, and below an image
_ROW: Final = 0.36  # inches: a condition in the summary
_LABEL: Final = 46  # characters per line of its label


@dataclass(frozen=True)
class Strip:
    """The images of one prompt.

    Attributes
    ----------
    prompt
        The prompt.
    images
        Names and images, RGB in [0, 1], *shape of each* ``(y, x, 3)``.
    """

    prompt: str
    images: tuple[tuple[str, np.ndarray], ...]

    @classmethod
    def of(
        cls,
        prompt: str,
        original: np.ndarray,
        drawn: Sequence[Drawn],
        pairs: Sequence[ColoredNoun],
    ) -> Strip:
        """Take the images of a prompt; of several nouns with colors, those of edits of the first."""
        first = pairs[0].noun if pairs else None
        images = [("image", original)]
        for each in drawn:
            condition = each.condition
            if each.image is None or condition.name == ITSELF:
                continue
            if condition.question == COLOR and first not in condition.words:
                continue
            if condition.question == NUMBER and pairs and condition.name not in ("and", *NOUNS):
                continue
            images.append((LABELS[condition.name], each.image))
        return cls(prompt, tuple(images))


def draw_strips(strips: Sequence[Strip]) -> Figure:
    """Show the images of each prompt in rows, each with what was done below it."""
    height, width = strips[0].images[0][1].shape[:2]
    side = _SIDE * min(height / width, 2)
    lines = [-(-len(strip.images) // _COLUMNS) for strip in strips]
    size = (_COLUMNS * (_SIDE + _GAP) + _GAP, sum(_TITLE + n * (side + _CAPTION) for n in lines))
    figure = plt.figure(figsize=size)
    top = size[1]
    for strip, n in zip(strips, lines, strict=True):
        figure.text(0.5, (top - 0.2) / size[1], strip.prompt, ha="center", parse_math=False)
        for number, (name, image) in enumerate(strip.images):
            line, column = divmod(number, _COLUMNS)
            left = _GAP + column * (_SIDE + _GAP)
            bottom = top - _TITLE - line * (side + _CAPTION) - side
            place = (left / size[0], bottom / size[1], _SIDE / size[0], side / size[1])
            ax = figure.add_axes(place)
            ax.imshow(image, interpolation="nearest")
            ax.set_axis_off()
            under = textwrap.fill(name, _UNDER)
            style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": "x-small"}
            ax.text(0.5, -0.03, under, transform=ax.transAxes, **style)
        top -= _TITLE + n * (side + _CAPTION)
    return figure


def draw_summary(table: pd.DataFrame) -> Figure:
    """Plot what is left or brought by each condition: shares where there is an annotator, or else changes."""
    panels = [panel for panel in _panels(table) if panel[2]]
    sizes = [len(panel[2]) for panel in panels]
    figure, axes = plt.subplots(
        max(len(panels), 1),
        1,
        figsize=(7.4, 0.9 * len(panels) + _ROW * sum(sizes) + 0.5),
        height_ratios=[size + 1.2 for size in sizes] or None,
        layout="constrained",
        squeeze=False,
    )
    for ax, (title, unit, lines) in zip(axes[:, 0], panels, strict=False):
        _draw_panel(ax, title, unit, lines)
        if any(len(markers) > 1 for _, markers in lines):
            _explain_markers(ax)
    if panels:
        several = any(len(markers) > 1 for *_, lines in panels for _, markers in lines)
        of_both = ", of the edited and of the other noun if they differ" if several else ""
        intervals = "; lines: 95% intervals" if panels[-1][1].startswith("share") else ""
        axes[-1, 0].set_xlabel(
            f"{panels[-1][1]}\n\n(n): prompts{of_both}{intervals}", fontsize="small"
        )
    return figure


Line = tuple[str, list[tuple[str, pd.DataFrame, str]]]
"""A label, and the role, rows, and measure of each of its markers."""


def _panels(table: pd.DataFrame) -> list[tuple[str, str, list[Line]]]:
    if "kept" not in table or not table["kept"].notna().any():
        roles = ((OWN, "change_in_noun"), (OTHER, "change_in_noun"), (BOTH, "change"))
        return [
            (
                f"Change of the image: {question}",
                "mean change (0 to 1)",
                _lines(table, question, tuple(LABELS), roles),
            )
            for question in (COLOR, NUMBER, PLACE)
        ]
    return [
        (
            "Color kept",
            "share of objects",
            _lines(table, COLOR, TAKING, ((OWN, "kept"), (OTHER, "kept"))),
        ),
        (
            "Other color taken",
            "share of objects",
            _lines(table, COLOR, BRINGING, ((OWN, "taken"), (OTHER, "taken"))),
        ),
        (
            "Nouns still shown",
            "share of images",
            _lines(table, NUMBER, COUNTED, ((BOTH, "shown"),))
            + _lines(table, NUMBER, NOUNS, ((OWN, "shown"), (OTHER, "shown"))),
        ),
        (
            "On the opposite side",
            "share of images",
            _lines(table, PLACE, (*TURNING, "last article"), ((BOTH, "taken"),)),
        ),
        (
            "On the named side",
            "share of images",
            _lines(
                table,
                PLACE,
                tuple(dict.fromkeys((*REMOVING, *REMOVING.values()))),
                ((BOTH, "kept"),),
            ),
        ),
    ]


def _lines(
    table: pd.DataFrame,
    question: str,
    names: Sequence[str],
    roles: Sequence[tuple[str, str]],
) -> list[Line]:
    lines = []
    for name in names:
        found = [
            (role, select(table, question, name, role, measure), measure) for role, measure in roles
        ]
        found = [each for each in found if len(each[1])]
        if found:
            lines.append((LABELS[name], found))
    return lines


def _draw_panel(ax: Axes, title: str, unit: str, lines: Sequence[Line]) -> None:
    places = np.arange(len(lines))[::-1]
    is_share = unit.startswith("share")
    for place, (_, markers) in zip(places, lines, strict=True):
        for role, rows, measure in markers:
            means = rows.groupby("prompt_id")[measure].mean()
            mean, n = float(means.mean()), len(means)
            at = place + {OWN: 0.13, OTHER: -0.13, BOTH: 0.0}[role]
            color = CONTROL if role == OTHER else PALETTE[0]
            if is_share:
                low, high = proportion_confint(round(mean * n), n, method="beta")
                ax.hlines(at, low, high, color=color, lw=1.4)
            style: dict[str, Any] = {"color": color, "ms": 5, "clip_on": False, "zorder": 3}
            ax.plot(mean, at, "o", markerfacecolor="white" if role == OTHER else color, **style)
    labels = [textwrap.fill(f"{label}{_numbers(markers)}", _LABEL) for label, markers in lines]
    ax.set_yticks(places, labels, fontsize="small", parse_math=False)
    ax.set_ylim(-0.6, len(lines) - 0.4)
    if is_share:
        ax.set_xlim(-0.02, 1.02)  # so that a marker at 0 is apart from the labels
    ax.set_title(title, fontsize="medium", loc="left")
    ax.set_xlabel(unit, fontsize="small")
    ax.tick_params(axis="x", labelsize="small")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _numbers(markers: Sequence[tuple[str, pd.DataFrame, str]]) -> str:
    """Return the number of prompts of each marker, once if all have the same, kept in one line."""
    numbers = dict.fromkeys(rows["prompt_id"].nunique() for _, rows, _ in markers)
    listed = ", ".join(map(str, numbers))
    return f" ({listed})".replace(" ", "\N{NO-BREAK SPACE}")


def _explain_markers(ax: Axes) -> None:
    style: dict[str, Any] = {"marker": "o", "ms": 5, "lw": 1.4}
    for color, face, label in (
        (PALETTE[0], PALETTE[0], "edited noun"),
        (CONTROL, "white", "the prompt's other noun (control)"),
    ):
        ax.plot([], [], color=color, markerfacecolor=face, label=label, **style)
    ax.legend(
        fontsize="x-small", frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98)
    )
