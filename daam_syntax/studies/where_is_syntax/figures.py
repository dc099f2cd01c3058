"""Figures of the study: attachment beside controls, by layer and head, and the attention of one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.figures.trees.word_attention import draw_word_matrix
from daam_syntax.studies.where_is_syntax.attachment import DIRECTIONS, PromptAttention
from daam_syntax.studies.where_is_syntax.findings import CONTROLS
from daam_syntax.studies.where_is_syntax.scoring import Choice

_BLUE: Final = "#0072B2"
_GRAY: Final = "0.55"


def draw_scores(table: pd.DataFrame) -> Figure:
    """Plot the attachment of each scored prompt, and the means, by relation and condition."""
    chosen = table[(table["direction"] == "chosen") & (table["condition"] != "agreement")]
    relations = list(dict.fromkeys(chosen["relation"]))
    figure, axes = plt.subplots(
        1,
        len(relations),
        figsize=(2.2 + 3.4 * len(relations), 3.2),
        layout="constrained",
        sharey=True,
        sharex=True,
        squeeze=False,
    )
    generator = np.random.default_rng(0)
    order = ["attention", *CONTROLS]
    for ax, relation in zip(axes[0], relations, strict=True):
        own = chosen[chosen["relation"] == relation]
        for row, condition in enumerate(order):
            values = own.loc[own["condition"] == condition, "value"].dropna()
            if values.empty:
                continue
            color = _BLUE if condition == "attention" else _GRAY
            jitter = row + generator.uniform(-0.16, 0.16, len(values))
            ax.scatter(values, jitter, s=9, color=color, alpha=0.35, lw=0)
            ax.plot(values.mean(), row, "D", color=color, ms=6, mec="white", mew=0.8)
        ax.set_title(relation, fontsize="medium")
        ax.set_xlabel("unlabeled attachment")
        ax.set_xlim(-0.03, 1.03)
        ax.set_yticks(range(len(order)), order)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x", color="0.92", lw=0.6)
        ax.set_axisbelow(True)
    axes[0, 0].invert_yaxis()
    return figure


def draw_heads(heads: pd.DataFrame) -> Figure:
    """Plot the attachment of every layer and head, by relation and direction."""
    relations = list(dict.fromkeys(heads["relation"]))
    n_layers = max(heads[heads["relation"] == r]["layer"].nunique() for r in relations)
    figure, axes = plt.subplots(
        len(DIRECTIONS),
        len(relations),
        figsize=(2.0 + 3.2 * len(relations), 2.0 + 0.5 * min(n_layers, 24)),
        layout="constrained",
        squeeze=False,
    )
    top = heads["attachment"].max()
    for column, relation in enumerate(relations):
        for row, direction in enumerate(DIRECTIONS):
            ax = axes[row, column]
            own = heads[(heads["relation"] == relation) & (heads["direction"] == direction)]
            values = own.pivot_table(
                index="layer", columns="attention_head", values="attachment", sort=False
            )
            if values.empty:
                ax.set_axis_off()
                continue
            drawn = ax.imshow(values, cmap="Blues", vmin=0, vmax=top, aspect="auto")
            ax.set_yticks(range(len(values)), range(len(values)), fontsize="small")
            ax.set_xticks(range(values.shape[1]), values.columns, fontsize="small")
            ax.set_title(f"{relation}: {direction}", fontsize="medium")
            ax.set_xlabel("attention head")
            ax.set_ylabel("layer")
    figure.colorbar(drawn, ax=axes[:, -1].tolist(), label="attachment", shrink=0.8)
    return figure


def draw_example(examples: Sequence[tuple[str, PromptAttention, Choice, str]]) -> Figure:
    """Plot the attention between the words of a prompt, in the chosen layer and head of each relation."""
    n_words = max(len(prompt.tree.words) for _, prompt, _, _ in examples)
    side = 1.6 + 0.42 * n_words
    figure, axes = plt.subplots(
        1,
        len(examples),
        figsize=(side * len(examples) + 0.8, side),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, prompt, choice, layer) in zip(axes[0], examples, strict=True):
        tree = prompt.tree
        words = [tree.sentence[word].text for word in tree.words]
        edges = [
            (place, int(head)) if choice.direction == 0 else (int(head), place)
            for place, head in enumerate(tree.heads)
            if head >= 0
        ]
        values = np.where(prompt.allowed, prompt.values[choice.layer, choice.head], np.nan)
        draw_word_matrix(ax, values, words, edges)
        ax.set_title(f"{name}: head {choice.head} of\n{layer}", fontsize="small")
    return figure
