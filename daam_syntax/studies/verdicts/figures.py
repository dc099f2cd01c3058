"""Figures of the study: AUCs by failure and set of predictors, and images with their overlap."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daam_syntax.figures.shared.colors import CONTROL, PALETTE
from daam_syntax.studies.verdicts.discrimination import interval
from daam_syntax.studies.verdicts.evaluation import PROMPT, SETS, Evaluation, with_prompt
from daam_syntax.studies.verdicts.images import Key
from daam_syntax.studies.verdicts.judging.failures import KINDS, name_of_failure

N_EXAMPLES: Final = 4
"""Images of each side of a row of examples."""

_ORDER: Final = "noun_noun_phi"
_ROW, _FRAME = 0.24, 0.75  # inches: a set of predictors; title and axis of a panel
_SIDE, _LINE = 1.2, 2.1  # inches: an image, and a row of images with their prompts and a heading


def draw_forest(evaluated: Mapping[str, Evaluation]) -> Figure:
    """Plot the AUC of every set of predictors with its interval, one panel for each failure."""
    sets = [PROMPT, *(f(name) for name in SETS for f in (str, with_prompt))]
    n_columns = min(2, len(evaluated))
    n_rows = -(-len(evaluated) // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(2.2 + 3.1 * n_columns, n_rows * (_FRAME + _ROW * len(sets))),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (failure, evaluation) in zip(axes.flat, evaluated.items(), strict=False):
        _draw_panel(ax, failure, evaluation, sets)
    for ax in axes.flat[len(evaluated) :]:
        ax.set_axis_off()
    for ax in axes.flat[: len(evaluated)][-n_columns:]:  # the lowest of each column
        ax.set_xlabel("AUC (0.5 is chance)", fontsize="small")
    return figure


def _draw_panel(ax: Axes, failure: str, evaluation: Evaluation, sets: list[str]) -> None:
    places = np.arange(len(sets))[::-1]
    ax.axvline(0.5, color=CONTROL, lw=0.8, ls="--")
    ax.axvline(evaluation.auc(PROMPT)[0], color=CONTROL, lw=0.8, ls=":")
    for place, name in zip(places, sets, strict=True):
        if name not in evaluation.predictions:
            continue
        color = PALETTE[0] if name.startswith(PROMPT) else PALETTE[1]
        value, replicates = evaluation.auc(name)
        low, high = interval(replicates)
        ax.hlines(place, low, high, color=color, lw=1.8)
        ax.plot(value, place, "o" if name.startswith(PROMPT) else "s", color=color, ms=4.5)
    ax.set_yticks(places, [_label(name) for name in sets], fontsize="small")
    n = f"{evaluation.n_failed} of {len(evaluation.rows)} images, {evaluation.outcomes.n_prompts} prompts"
    title = name_of_failure(failure)
    ax.set_title(f"{title[:1].upper()}{title[1:]}\n{n}", fontsize="small", loc="left")
    ax.tick_params(axis="x", labelsize="small", labelbottom=True)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _label(name: str) -> str:
    if name == PROMPT:
        return "prompt alone"
    return name if name.startswith(PROMPT) else f"{name} alone"


def draw_examples(images: pd.DataFrame, thumbnails: Mapping[Key, np.ndarray]) -> Figure | None:
    """Show failed images of large overlap beside right images of small overlap, a row for each kind of failure.

    A prompt is shown once on each side. None if there are no images, or no kind has both sides.
    """
    rows: list[tuple[str, list[pd.DataFrame]]] = []
    right = images
    for kind in KINDS:
        sides = [
            _examples(each, thumbnails, kind, f) for each, f in ((images, True), (right, False))
        ]
        if all(len(side) for side in sides):
            rows.append((kind, sides))
            right = right[~right["prompt_id"].isin(sides[1]["prompt_id"])]  # every row has others
    if not rows:
        return None
    height = len(rows) * _LINE
    figure, axes = plt.subplots(
        len(rows),
        2 * N_EXAMPLES + 1,
        figsize=(_SIDE * (2 * N_EXAMPLES + 0.7), height),
        width_ratios=[*[1.0] * N_EXAMPLES, 0.12, *[1.0] * N_EXAMPLES],
        gridspec_kw={
            "left": 0.01,
            "right": 0.99,
            "bottom": 0.05 / height,
            "top": 1 - (_LINE - _SIDE) / height,
            "hspace": _LINE / _SIDE - 1,
            "wspace": 0.1,
        },
        squeeze=False,
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for line, (kind, sides) in zip(axes, rows, strict=True):
        what = name_of_failure(kind)
        names = (
            f"{what[:1].upper()}{what[1:]}, most overlap",
            "Without this failure, least overlap",
        )
        for start, name, side in zip((0, N_EXAMPLES + 1), names, sides, strict=True):
            for ax, row in zip(line[start:], side.to_dict("records"), strict=False):
                _show(ax, row, thumbnails)
            line[start].text(
                0, 1.5, name, transform=line[start].transAxes, fontsize="medium", va="bottom"
            )
    return figure


def _examples(
    images: pd.DataFrame, thumbnails: Mapping[Key, np.ndarray], kind: str, failed: bool
) -> pd.DataFrame:
    """Return the failed images with the largest overlap, or the right ones with the smallest."""
    shown = [key in thumbnails for key in zip(images["prompt_id"], images["seed"], strict=True)]
    rows = images[np.array(shown, dtype=bool) & images[_ORDER].notna() & (images[kind] == failed)]
    ordered = rows.sort_values(_ORDER, ascending=not failed, kind="stable")
    return ordered.drop_duplicates("prompt_id").head(N_EXAMPLES)


def _show(ax: Axes, row: Mapping[Any, Any], thumbnails: Mapping[Key, np.ndarray]) -> None:
    ax.imshow(thumbnails[row["prompt_id"], row["seed"]], interpolation="nearest")
    lines = _wrapped(row["prompt"])
    ax.set_title(
        f"{lines}\nphi {row[_ORDER]:.2f}".replace("-", "\N{MINUS SIGN}"),
        fontsize=6.5,
        pad=2,
        parse_math=False,
    )


def _wrapped(prompt: str, width: int = 20, most: int = 3) -> str:
    """Return a prompt in at most three lines."""
    return "\n".join(textwrap.wrap(prompt, width, max_lines=most, placeholder=" …"))
