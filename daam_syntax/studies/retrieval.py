"""Cross-attention read as retrieval: every pixel asks a fixed memory of keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.attention.drawings import Drawing
from daam_syntax.attention.following import AtWork
from daam_syntax.attention.probabilities import AttentionCall
from daam_syntax.attention.responding import Responder, Site
from daam_syntax.attention.weights import attention_weights
from daam_syntax.figures.styles import PALETTE
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import align
from daam_syntax.studies.answers import Answer
from daam_syntax.studies.common import CONTENT, SHARE, image_row, require_rows
from daam_syntax.studies.design import StudyDesign
from daam_syntax.studies.plots import draw_pictures
from daam_syntax.studies.result import StudyResult
from daam_syntax.studies.setup import Setup
from daam_syntax.studies.special_tokens import NAMES, keys_by_kind

DESIGN: Final = StudyDesign(
    name="retrieval",
    title="Cross-attention as retrieval from a memory",
    question="The keys and values of the prompt are a fixed memory that every pixel reads at every step. How many of "
    "its slots does a pixel use, when and in which layers, and which words does each head retrieve?",
    method="With a pixel's attention weights p over all keys, entropy is −Σ p ln p (nats), and the effective number "
    "of slots is its exponential (Hill 1973): from 1, where the pixel reads one key only, to the number of keys. Both "
    "are averaged over pixels for every step, layer and head. Keys are the prompt's subwords, the start and end "
    "tokens, and the padding behind them; content words are nouns, adjectives and verbs. Shares of attention are sums "
    "over the keys of a kind, means over pixels, so that kinds with many keys have larger ones.",
    limits="A weight says how much of a key's value is read, not how much that value matters: values differ in size, "
    "and padding may hold what the text encoder put there about the whole prompt. Heads are described and not tested: "
    "the head with the largest share of many is large partly by chance.",
    prompts="scenes",
    seeds=2,
    steps=10,
    figures={
        "steps": "Effective number of slots, and shares of attention, by denoising step: means over layers, heads and "
        "prompts.",
        "heads": "By layer (with the grid of its pixels) and head: how many slots a pixel uses, and how much of the "
        "attention content words get.",
        "retrieved": "Which words each head retrieves: share of its attention by part of speech and special token, "
        "mean over prompts that have such words. Rows are heads from the first layer to the last.",
        "pixels": "The first picture, and how many slots its pixels use: means over heads and steps, for each grid.",
    },
    tables={
        "by_step": "Means over images by step.",
        "by_head": "Means over images by layer and head.",
        "retrieved": "Share of attention by layer, head and part of speech or special token.",
        "words": "Share of each word in each layer and head, over steps.",
        "heads": "Entropy (nats), slots, number of keys and shares by image, step, layer and head.",
    },
)

_ROWS: Final = 48  # heads that a figure names; of more, layers are drawn


def run(setup: Setup) -> StudyResult:
    """Measure, for every step, layer and head, how many slots pixels use and what they hold.

    Parameters
    ----------
    setup
        What is drawn. In joint attention, pixels are slots, too.
    """
    heads: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        reader = _Reader(sentence)
        reading = Responder(setup.pipe, respond=reader.read, begun=reader.begin, ended=reader.end)
        with AtWork(reading):
            picture = setup.draw(sentence.text, seed)[0]
        row = image_row(sentence, seed)
        heads += [row | each for each in reader.heads]
        words += [row | each for each in reader.words()]
        example = example or [(sentence.text, picture), *reader.pixels()]
    table = require_rows(heads, "a word")
    word_table = require_rows(words, "a word")
    groups = [group for group in GROUPS if group in table]
    measures = ["entropy", "slots", *groups]
    by_step = _means(table, ["step"], measures)
    by_head = _means(table, ["layer", "grid", "head"], measures)
    retrieved = _retrieved(word_table, by_head)
    return StudyResult.of(
        DESIGN,
        setup,
        _answers(table, by_head),
        {
            "by_step": by_step,
            "by_head": by_head,
            "retrieved": retrieved,
            "words": word_table,
            "heads": table,
        },
        {
            "steps": _draw_steps(by_step),
            "heads": _draw_heads(by_head),
            "retrieved": _draw_retrieved(retrieved),
            "pixels": draw_pictures(example),
        },
    )


GROUPS: Final = ("start", "content", "function", "end", "template", "padding", "other")
"""What the keys are: special tokens, words of `CONTENT` and others, padding, and whatever is not text."""


def slots(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return entropy (nats) and effective number of slots of each query.

    Parameters
    ----------
    weights
        Attention weights that sum to 1. *Shape:* (head, query, key)

    Returns
    -------
    tuple of Tensor
        *Shape:* (head, query) each.
    """
    entropy = torch.special.entr(weights).sum(-1)
    return entropy, entropy.exp()


class _Reader:
    """Reads the attention of one drawing of one image."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._groups: dict[str, list[int]] = {}  # of text keys
        self._words: dict[int, list[int]] = {}
        self._sums: dict[tuple[str, str], list[np.ndarray]] = {}  # (head, word) of each step
        self._pixels: dict[tuple[int, int], list[np.ndarray]] = {}  # slots of each call, by grid
        self.heads: list[dict[str, Any]] = []

    def begin(self, drawing: Drawing) -> None:
        """Find out what the text keys are."""
        groups = {kind: set(keys) for kind, keys in keys_by_kind(drawing).items() if kind != "text"}
        groups |= {"content": set(), "function": set()}
        for block in drawing.blocks:
            (read,) = block.prompts
            for word in align(self._sentence, read.subwords, read.truncated_at):
                keys = {block.start + read.subwords[row].position for row in word.subwords}
                self._words.setdefault(word.index, []).extend(sorted(keys))
                is_content = self._sentence[word.index].pos in CONTENT
                groups["content" if is_content else "function"] |= keys
        groups["function"] -= groups["content"]  # a subword of two words
        self._groups = {group: sorted(keys) for group, keys in groups.items() if keys}

    def end(self, drawing: Drawing) -> None:
        """Note nothing more."""

    def read(self, site: Site, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        """Measure a call; its output stays."""
        split = site.splits[0]
        weights = attention_weights(call, site.rows.start, split.pixels)
        entropies, used = slots(weights)
        entropy, n_slots = entropies.mean(-1), used.mean(-1)
        mean = weights.mean(1).cpu()  # (head, key)
        text = mean[:, split.text]
        assert site.grid is not None, "calls with the text have a grid"
        grid = "x".join(map(str, site.grid))
        self._pixels.setdefault(site.grid, []).append(used.mean(0).cpu().numpy())
        shares = {group: text[:, keys].sum(-1) for group, keys in self._groups.items()}
        if weights.shape[-1] > split.text.stop - split.text.start:
            shares["other"] = 1 - text.sum(-1)
        for head in range(len(weights)):
            self.heads.append(
                {
                    "step": site.step,
                    "layer": site.path,
                    "grid": grid,
                    "head": head,
                    "n_keys": weights.shape[-1],
                    "entropy": float(entropy[head]),
                    "slots": float(n_slots[head]),
                    **{group: float(share[head]) for group, share in shares.items()},
                }
            )
        by_word = torch.stack([text[:, keys].sum(-1) for keys in self._words.values()], dim=1)
        self._sums.setdefault((site.path, grid), []).append(by_word.numpy())
        return output

    def pixels(self) -> list[tuple[str, np.ndarray]]:
        """Return the effective number of slots of each pixel, a mean over heads, steps and layers, by grid."""
        finest_first = sorted(self._pixels.items(), reverse=True)
        named = [(grid, np.mean(calls, axis=0).reshape(grid)) for grid, calls in finest_first]
        return [
            (f"{height}x{width} grid:\n{values.min():.1f} to {values.max():.1f} slots", values)
            for (height, width), values in named
        ]

    def words(self) -> list[dict[str, Any]]:
        """Return the share of each word in each layer and head, a mean over steps."""
        rows = []
        for (layer, grid), steps in self._sums.items():
            mean = np.mean(steps, axis=0)
            for place, index in enumerate(self._words):
                token = self._sentence[index]
                rows += [
                    {
                        "layer": layer,
                        "grid": grid,
                        "head": head,
                        "word_index": index,
                        "word": token.text,
                        "pos": token.pos,
                        "share": float(mean[head, place]),
                    }
                    for head in range(len(mean))
                ]
        return rows


def _means(table: pd.DataFrame, by: list[str], measures: list[str]) -> pd.DataFrame:
    """Return means over images, then over prompts."""
    in_image = table.groupby(["prompt_id", "image", *by], sort=False)[measures].mean()
    in_prompt = in_image.groupby(level=["prompt_id", *by], sort=False).mean()
    return in_prompt.groupby(level=by, sort=False).mean().reset_index()


def _retrieved(words: pd.DataFrame, by_head: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each head's attention by part of speech of words, and by other kind of key."""
    keys = ["layer", "grid", "head"]
    image = ["prompt_id", "image"]
    in_image = words.groupby([*image, *keys, "pos"], sort=False)["share"].sum()
    in_prompt = in_image.groupby(level=["prompt_id", *keys, "pos"], sort=False).mean()
    by_pos = in_prompt.groupby(level=[*keys, "pos"], sort=False).mean().reset_index()
    special = [g for g in GROUPS if g in by_head and g not in ("content", "function")]
    others = by_head.melt(keys, special, var_name="pos", value_name="share")
    table = pd.concat([by_pos, others], ignore_index=True).rename(columns={"pos": "kind"})
    return table.sort_values(keys, kind="stable", ignore_index=True)


def _answers(table: pd.DataFrame, by_head: pd.DataFrame) -> list[Answer]:
    most = float(table["n_keys"].max())
    bounds = (1.0, most)
    cells = table["grid"].map(lambda grid: int(np.prod([int(n) for n in grid.split("x")])))
    middle = (table["step"] + 0.5) / (table.groupby("image")["step"].transform("max") + 1)
    first, last = table[middle < 1 / 3], table[middle > 2 / 3]
    found = [estimate_mean(table, "slots", label="all steps, layers and heads", bounds=bounds)]
    if len(first) and len(last):
        label = "first third of the steps minus last"
        found.append(estimate_difference(first, last, "slots", label=label, bounds=bounds))
    if cells.nunique() > 1:
        fine, coarse = (table[cells == size] for size in (cells.max(), cells.min()))
        label = "finest grid minus coarsest"
        found.append(estimate_difference(fine, coarse, "slots", label=label, bounds=bounds))
    names = {"content": "content words", "function": "function words", "other": "other keys"}
    names |= NAMES
    return [
        Answer(
            "How many slots a pixel uses",
            f"effective number of slots (1 to {most:g})",
            tuple(found),
        ),
        Answer(
            "What the attention goes to",
            "share of attention",
            tuple(
                estimate_mean(table, group, label=names.get(group, group), bounds=SHARE)
                for group in GROUPS
                if group in table
            ),
        ),
        Answer("Which heads read the content words", "", notes=_head_notes(by_head)),
    ]


def _head_notes(by_head: pd.DataFrame) -> tuple[str, ...]:
    """Say which heads read the most and the least of the content words."""
    ranked = by_head.sort_values("content", ascending=False).to_dict("records")
    return tuple(
        f"The {word}: head {row['head']} of {_short(row['layer'])} ({row['grid']}), with {row['content']:.3f} of its "
        f"attention (of {len(ranked)} heads; described, not tested)."
        for word, row in (("most", ranked[0]), ("least", ranked[-1]))
    )


def _draw_steps(by_step: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.0), layout="constrained")
    axes[0].plot(by_step["step"], by_step["slots"], "o-", color=PALETTE[0], ms=4)
    axes[0].set_ylabel("effective slots per pixel")
    axes[0].set_ylim(bottom=1)
    for colour, group in zip((*PALETTE, "0.4"), [g for g in GROUPS if g in by_step], strict=False):
        axes[1].plot(by_step["step"], by_step[group], "o-", color=colour, ms=4, label=group)
    axes[1].set_ylabel("share of attention")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for ax in axes:
        ax.set_xlabel("denoising step")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.92", lw=0.6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _draw_heads(by_head: pd.DataFrame) -> Figure:
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
        values = named.pivot_table(index="name", columns="head", values=measure, sort=False)
        _draw_matrix(ax, values, label)
        ax.set_xlabel("head")
    axes[1].tick_params(labelleft=False)
    return figure


def _draw_retrieved(retrieved: pd.DataFrame) -> Figure:
    """Draw the shares of all heads, or of the layers where heads are too many."""
    names = _layer_names(retrieved)
    if len(retrieved[["layer", "grid", "head"]].drop_duplicates()) <= _ROWS:
        names = names + ", " + retrieved["head"].astype(str)
    values = retrieved.assign(name=names).pivot_table(
        index="name", columns="kind", values="share", sort=False
    )
    special = [group for group in GROUPS if group in values]
    order = sorted(set(values.columns) - set(special)) + special
    size = (1.9 + 0.55 * len(order), 1.1 + 0.2 * len(values))
    figure, ax = plt.subplots(figsize=(max(size[0], 5.0), size[1]), layout="constrained")
    _draw_matrix(ax, values[order], "share of the head's attention")
    ax.tick_params(axis="x", rotation=45)
    ax.set_ylabel("layer (grid), head")
    return figure


def _draw_matrix(ax: Axes, values: pd.DataFrame, label: str) -> None:
    drawn = ax.imshow(values, cmap="viridis", aspect="auto")
    ax.set_yticks(range(len(values)), values.index, fontsize="small", parse_math=False)
    ax.set_xticks(range(values.shape[1]), values.columns, fontsize="small")
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.colorbar(drawn, ax=ax, label=label)


def _layer_names(table: pd.DataFrame) -> pd.Series:
    return table["layer"].map(_short) + " (" + table["grid"] + ")"


def _short(layer: str) -> str:
    """Leave out of a module's path what all have."""
    kept = [part for part in layer.split(".") if part not in ("attentions", "transformer_blocks")]
    return ".".join(kept).removesuffix(".attn2")
