"""Figures of the study of retrieval: slots and shares by step, by layer and attention head, and by word class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daam_syntax.figures.shared.colors import PALETTE, color_map
from daam_syntax.figures.shared.styles import figure_of
from daam_syntax.studies.retrieval.attention_reader import GROUPS

_SLOTS: Final = "Blues"  # slots are not shares of attention
_ROWS: Final = 48  # maximum number of rows for attention heads; above it, rows are layers


def draw_steps(by_step: pd.DataFrame) -> Figure:
    """Plot slots and shares of attention by step."""
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.0), layout="constrained")
    axes[0].plot(by_step["step"], by_step["slots"], "o-", color=PALETTE[0], ms=4)
    axes[0].set_ylabel("effective slots per pixel")
    axes[0].set_ylim(bottom=1)
    for color, group in zip((*PALETTE, "0.4"), [g for g in GROUPS if g in by_step], strict=False):
        axes[1].plot(by_step["step"], by_step[group], "o-", color=color, ms=4, label=group)
    axes[1].set_ylabel("share of attention")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for ax in axes:
        ax.set_xlabel("denoising step")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.92", lw=0.6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_heads(by_head: pd.DataFrame) -> Figure:
    """Plot slots, and the share of content words, by layer and attention head."""
    named = by_head.assign(name=_layer_names(by_head))
    shown: Mapping[str, str] = {
        "slots": "effective slots per pixel",
        "content": "share on content words",
    }
    n_layers = named["name"].nunique()
    figure, axes = plt.subplots(
        1, 2, figsize=(8.4, 1.2 + 0.3 * n_layers), layout="constrained", sharey=True
    )
    for ax, (measure, label) in zip(axes, shown.items(), strict=True):
        values = named.pivot_table(
            index="name", columns="attention_head", values=measure, sort=False
        )
        _draw_matrix(ax, values, label, None if measure == "content" else _SLOTS)
        ax.set_xlabel("attention head")
    axes[1].tick_params(labelleft=False)
    return figure


def draw_retrieved(retrieved: pd.DataFrame) -> Figure:
    """Plot the shares of all attention heads, or of the layers if there are too many heads."""
    names = _layer_names(retrieved)
    if len(retrieved[["layer", "grid", "attention_head"]].drop_duplicates()) <= _ROWS:
        names = names + ", " + retrieved["attention_head"].astype(str)
    values = retrieved.assign(name=names).pivot_table(
        index="name", columns="kind", values="share", sort=False
    )
    special = [group for group in GROUPS if group in values]
    order = sorted(set(values.columns) - set(special)) + special
    size = (1.9 + 0.55 * len(order), 1.1 + 0.2 * len(values))
    figure, ax = plt.subplots(figsize=(max(size[0], 5.0), size[1]), layout="constrained")
    _draw_matrix(ax, values[order], "share of the attention")
    ax.tick_params(axis="x", rotation=45)
    ax.set_ylabel("layer (grid), attention head")
    return figure


def _draw_matrix(ax: Axes, values: pd.DataFrame, label: str, colors: str | None = None) -> None:
    """Draw a matrix in the colors of attention, or of another quantity; dark is much."""
    drawn = ax.imshow(values, cmap=color_map(colors), aspect="auto")
    ax.set_yticks(range(len(values)), values.index, fontsize="small", parse_math=False)
    ax.set_xticks(range(values.shape[1]), values.columns, fontsize="small")
    figure_of(ax).colorbar(drawn, ax=ax, label=label)


def _layer_names(table: pd.DataFrame) -> pd.Series:
    return table["layer"].map(short_name) + " (" + table["grid"] + ")"


def short_name(layer: str) -> str:
    """Return a module's path without the parts that all paths share."""
    kept = [part for part in layer.split(".") if part not in ("attentions", "transformer_blocks")]
    return ".".join(kept).removesuffix(".attn2")
