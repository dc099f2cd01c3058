"""Cross-attention read as retrieval: every pixel asks a fixed memory of keys and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention.drawings import Drawing
from daam_syntax.attention.following import Follower, Site
from daam_syntax.attention.probabilities import AttentionCall
from daam_syntax.attention.weights import attention_weights
from daam_syntax.drawing import DrawingSettings
from daam_syntax.figures.styles import PALETTE
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import align
from daam_syntax.studies.common import (
    draw,
    estimates_table,
    finding,
    image_row,
    parse_prompts,
    progress_bar,
    provenance,
    require_rows,
)
from daam_syntax.studies.plots import draw_estimates
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Cross-attention as retrieval from a memory"
QUESTION: Final = (
    "The keys and values of the prompt are a fixed memory that every pixel reads at every step. How many of its slots "
    "does a pixel use, when and in which layers, and which words does each head retrieve?"
)
PROMPTS: Final = (
    "a red cat and a blue car",
    "a small owl on a green bed",
    "a dog chasing a yellow duck",
    "a penguin holding a banana",
    "a big elephant in the snow",
    "a robot riding a horse",
    "a white castle and a truck",
    "an orange fish and a crab",
)
_CONTENT: Final = ("NOUN", "PROPN", "ADJ", "VERB")


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 2,
    steps: int | None = 10,
    guidance: float | None = None,
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Measure, for every step, layer and head, how many slots pixels use and what they hold.

    With a pixel's weights p over all keys, entropy is ``-Σ p ln p`` (nats) and the effective number of slots is its
    exponential (Hill 1973), from 1 to the number of keys; both are averaged over pixels.

    Parameters
    ----------
    pipe
        A pipeline that can be traced. In joint attention, pixels are slots, too.
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "heads", one row per image, step, layer and head, with ``entropy``, ``slots``, ``n_keys``
        and the shares of attention on ``start``, ``end``, ``template`` and ``padding`` tokens, ``content`` and
        ``function`` words, and ``other`` keys; "words", the share of each word in each layer and head, over steps;
        "by_step" and "by_head", means over images.
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    heads: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    with progress_bar(progress, len(sentences) * seeds) as advance:
        for sentence in sentences:
            for seed in range(seeds):
                reader = _Reader(sentence)
                with Follower(
                    pipe, respond=reader.read, begun=reader.begin, ended=reader.end, changes=False
                ):
                    draw(pipe, sentence.text, seed, settings)
                row = image_row(sentence, seed)
                heads += [row | each for each in reader.heads]
                words += [row | each for each in reader.words()]
                advance()
    table = require_rows(heads, "a word")
    word_table = require_rows(words, "a word")
    estimates = _estimates(table)
    shown = estimates_table(estimates)
    groups = [group for group in GROUPS if group in table]
    measures = ["entropy", "slots", *groups]
    by_step = _means(table, ["step"], measures)
    by_head = _means(table, ["layer", "grid", "head"], measures)
    return StudyResult(
        "retrieval",
        TITLE,
        QUESTION,
        (*(finding(estimate) for estimate in estimates), *_head_findings(by_head)),
        {
            "estimates": shown,
            "by_step": by_step,
            "by_head": by_head,
            "words": word_table,
            "heads": table,
        },
        {
            "estimates": draw_estimates(
                shown, unit="see the labels (slots, or shares from 0 to 1)"
            ),
            "steps": _draw_steps(by_step),
            "heads": _draw_heads(by_head),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(pipe, settings, seeds, sentences),
    )


GROUPS: Final = ("start", "content", "function", "end", "template", "padding", "other")
"""What the keys are: special tokens, words of `_CONTENT` and others, padding, and whatever is not text."""


def slots(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return entropy (nats) and effective number of slots, means over the queries.

    Parameters
    ----------
    weights
        Attention weights that sum to 1. *Shape:* (head, query, key)

    Returns
    -------
    tuple of Tensor
        *Shape:* (head,) each.
    """
    entropy = torch.special.entr(weights).sum(-1)
    return entropy.mean(-1), entropy.exp().mean(-1)


class _Reader:
    """Reads the attention of one drawing of one image."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._groups: dict[str, list[int]] = {}  # of text keys
        self._words: dict[int, list[int]] = {}
        self._sums: dict[tuple[str, str], list[np.ndarray]] = {}  # (head, word) of each step
        self.heads: list[dict[str, Any]] = []

    def begin(self, drawing: Drawing) -> None:
        """Find out what the text keys are."""
        groups: dict[str, set[int]] = {group: set() for group in GROUPS if group != "other"}
        for block in drawing.blocks:
            (read,) = block.prompts
            for subword in read.subwords:
                if subword.kind != "text":
                    groups[subword.kind].add(block.start + subword.position)
            used = set(read.positions)
            groups["padding"] |= {block.start + p for p in range(read.length) if p not in used}
            for word in align(self._sentence, read.subwords, read.truncated_at):
                keys = {block.start + read.subwords[row].position for row in word.subwords}
                self._words.setdefault(word.index, []).extend(sorted(keys))
                is_content = self._sentence[word.index].pos in _CONTENT
                groups["content" if is_content else "function"] |= keys
        groups["function"] -= groups["content"]  # a subword of two words
        self._groups = {group: sorted(keys) for group, keys in groups.items() if keys}

    def end(self, drawing: Drawing) -> None:
        """Note nothing more."""

    def read(self, site: Site, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        """Measure a call; its output stays."""
        split = site.splits[0]
        weights = attention_weights(call, site.rows.start, split.pixels)
        entropy, n_slots = slots(weights)
        mean = weights.mean(1).cpu()  # (head, key)
        text = mean[:, split.text]
        assert site.grid is not None, "calls with the text have a grid"
        grid = "x".join(map(str, site.grid))
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


def _estimates(table: pd.DataFrame) -> list[Estimate]:
    cells = table["grid"].map(lambda grid: int(np.prod([int(n) for n in grid.split("x")])))
    found = [estimate_mean(table, "slots", label="effective slots per pixel")]
    middle = (table["step"] + 0.5) / (table.groupby("image")["step"].transform("max") + 1)
    first, last = table[middle < 1 / 3], table[middle > 2 / 3]
    if len(first) and len(last):
        found.append(
            estimate_difference(
                first, last, "slots", label="effective slots, first third of the steps minus last"
            )
        )
    if cells.nunique() > 1:
        found.append(
            estimate_difference(
                table[cells == cells.max()],
                table[cells == cells.min()],
                "slots",
                label="effective slots, finest grid minus coarsest",
            )
        )
    names = {"content": "content words", "function": "function words", "padding": "padding"}
    return found + [
        estimate_mean(table, group, label=f"share of attention on {names.get(group, group)}")
        for group in GROUPS
        if group in table
    ]


def _head_findings(by_head: pd.DataFrame) -> list[str]:
    """Say which heads read the most and the least of the content words."""
    ranked = by_head.sort_values("content", ascending=False).to_dict("records")
    return [
        f"The head that reads the {word} content words is head {row['head']} of {row['layer']} ({row['grid']}): "
        f"{row['content']:.3f} of its attention (of {len(ranked)} heads, not tested)."
        for word, row in (("most", ranked[0]), ("least", ranked[-1]))
    ]


def _draw_steps(by_step: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
    axes[0].plot(by_step["step"], by_step["slots"], "o-", color=PALETTE[0], ms=4)
    axes[0].set_ylabel("effective slots per pixel")
    axes[0].set_ylim(bottom=1)
    for colour, group in zip((*PALETTE, "0.4"), [g for g in GROUPS if g in by_step], strict=False):
        axes[1].plot(by_step["step"], by_step[group], "o-", color=colour, ms=4, label=group)
    axes[1].set_ylabel("share of attention")
    axes[1].set_ylim(0, 1)
    axes[1].legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for ax in axes:
        ax.set_xlabel("step")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.92", lw=0.6)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _draw_heads(by_head: pd.DataFrame) -> Figure:
    names = (by_head["layer"].map(_short) + " (" + by_head["grid"] + ")").rename("layer, grid")
    shown: Mapping[str, str] = {
        "slots": "effective slots per pixel",
        "content": "share of attention on content words",
    }
    n_layers = names.nunique()
    figure, axes = plt.subplots(
        1, 2, figsize=(8.4, 1.2 + 0.3 * n_layers), layout="constrained", sharey=True
    )
    for ax, (measure, label) in zip(axes, shown.items(), strict=True):
        values = by_head.assign(name=names).pivot_table(
            index="name", columns="head", values=measure, sort=False
        )
        drawn = ax.imshow(values, cmap="viridis", aspect="auto")
        ax.set_yticks(range(len(values)), values.index, fontsize="small", parse_math=False)
        ax.set_xticks(range(values.shape[1]), values.columns, fontsize="small")
        ax.set_xlabel("head")
        figure.colorbar(drawn, ax=ax, label=label)
    return figure


def _short(layer: str) -> str:
    """Leave out of a module's path what all have."""
    kept = [part for part in layer.split(".") if part not in ("attentions", "transformer_blocks")]
    return ".".join(kept).removesuffix(".attn2")
