"""Cross-attention as retrieval: every pixel reads from a fixed memory of keys and values."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.attention import observe
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.special_tokens import NAMES
from daam_syntax.studies.framework.table_rows import image_row, require_rows
from daam_syntax.studies.retrieval.attention_reader import GROUPS, Reader
from daam_syntax.studies.retrieval.figures import (
    draw_heads,
    draw_retrieved,
    draw_steps,
    short_name,
)

DESIGN: Final = StudyDesign(
    name="retrieval",
    title="Cross-attention as retrieval from a memory",
    question="The keys and values of the prompt are a fixed memory that every pixel reads at every step. How many of "
    "its slots does a pixel use, at which steps and in which layers, and which words does each attention head "
    "retrieve?",
    method="For the attention weights p of a pixel over all keys, the entropy is −Σ p ln p (nats), and the effective "
    "number of slots is its exponential (Hill 1973): from 1, if the pixel reads a single key, to the number of keys. "
    "Both are averaged over pixels for every step, layer and attention head. Keys are the prompt's subwords, the start "
    "and end tokens, and the padding after them; content words are nouns, adjectives and verbs. Shares of attention "
    "are summed over the keys of a kind and averaged over pixels, so kinds with many keys have larger shares.",
    limits="A weight shows how much of a key's value is read, not how much that value matters: values differ in size, "
    "and the padding may hold information about the whole prompt that the text encoder put there. Attention heads are "
    "described, not tested: the largest share among many heads is large partly by chance.",
    prompts="scenes",
    seeds=2,
    steps=10,
    figures={
        "steps": "Effective number of slots, and shares of attention, by denoising step: means over layers, attention "
        "heads and prompts.",
        "heads": "Effective number of slots of a pixel, and share of the attention to content words, by layer (with "
        "the grid of its pixels) and attention head.",
        "retrieved": "Share of the attention of each attention head by part of speech and special token: means over "
        "prompts that have such words. Rows are attention heads from the first layer to the last.",
        "pixels": "The first image, and the effective number of slots of its pixels: means over attention heads and "
        "steps for each grid.",
    },
    tables={
        "by_step": "Means over images by step.",
        "by_head": "Means over images by layer and attention head.",
        "retrieved": "Share of attention by layer, attention head, and part of speech or special token.",
        "words": "Share of each word in each layer and attention head, averaged over steps.",
        "heads": "Entropy (nats), slots, number of keys and shares by image, step, layer and attention head.",
    },
)


def run(setup: Setup) -> StudyResult:
    """Measure, for every step, layer and attention head, how many slots pixels use and which keys they read.

    Parameters
    ----------
    setup
        The setup. In joint attention, pixels are slots as well.
    """
    heads: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        reader = Reader(sentence)
        with observe(setup.pipe, reader.read, sentences=sentence):
            image = setup.draw(sentence.text, seed)[0]
        row = image_row(sentence, seed)
        heads += [row | each for each in reader.heads]
        words += [row | each for each in reader.words()]
        example = example or [(sentence.text, image), *reader.pixels()]
    table = require_rows(heads, "a word")
    word_table = require_rows(words, "a word")
    groups = [group for group in GROUPS if group in table]
    measures = ["entropy", "slots", *groups]
    by_step = _means(table, ["step"], measures)
    by_head = _means(table, ["layer", "grid", "attention_head"], measures)
    retrieved = _retrieved(word_table, by_head)
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(table, by_head),
        {
            "by_step": by_step,
            "by_head": by_head,
            "retrieved": retrieved,
            "words": word_table,
            "heads": table,
        },
        {
            "steps": draw_steps(by_step),
            "heads": draw_heads(by_head),
            "retrieved": draw_retrieved(retrieved),
            "pixels": draw_images(example),
        },
    )


def _means(table: pd.DataFrame, by: list[str], measures: list[str]) -> pd.DataFrame:
    """Return means over images, then over prompts."""
    in_image = table.groupby(["prompt_id", "image", *by], sort=False)[measures].mean()
    in_prompt = in_image.groupby(level=["prompt_id", *by], sort=False).mean()
    return in_prompt.groupby(level=by, sort=False).mean().reset_index()


def _retrieved(words: pd.DataFrame, by_head: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each attention head by part of speech of words, and by other kinds of keys."""
    keys = ["layer", "grid", "attention_head"]
    image = ["prompt_id", "image"]
    in_image = words.groupby([*image, *keys, "pos"], sort=False)["share"].sum()
    in_prompt = in_image.groupby(level=["prompt_id", *keys, "pos"], sort=False).mean()
    by_pos = in_prompt.groupby(level=[*keys, "pos"], sort=False).mean().reset_index()
    special = [g for g in GROUPS if g in by_head and g not in ("content", "function")]
    others = by_head.melt(keys, special, var_name="pos", value_name="share")
    table = pd.concat([by_pos, others], ignore_index=True).rename(columns={"pos": "kind"})
    return table.sort_values(keys, kind="stable", ignore_index=True)


def make_findings(table: pd.DataFrame, by_head: pd.DataFrame) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    table
        One row per image, step, layer, and attention head.
    by_head
        Means of each attention head.
    """
    most = float(table["n_keys"].max())
    bounds = (1.0, most)
    cells = table["grid"].map(lambda grid: int(np.prod([int(n) for n in grid.split("x")])))
    middle = (table["step"] + 0.5) / (table.groupby("image")["step"].transform("max") + 1)
    first, last = table[middle < 1 / 3], table[middle > 2 / 3]
    estimates = [
        estimate_mean(table, "slots", label="all steps, layers and attention heads", bounds=bounds)
    ]
    if len(first) and len(last):
        label = "first third of the steps minus last third"
        estimates.append(estimate_difference(first, last, "slots", label=label, bounds=bounds))
    if cells.nunique() > 1:
        fine, coarse = (table[cells == size] for size in (cells.max(), cells.min()))
        label = "finest grid minus coarsest grid"
        estimates.append(estimate_difference(fine, coarse, "slots", label=label, bounds=bounds))
    names = {"content": "content words", "function": "function words", "other": "other keys"}
    names |= NAMES
    return [
        Finding(
            "Slots that a pixel uses",
            f"effective number of slots (1 to {most:g})",
            tuple(estimates),
        ),
        Finding(
            "Distribution of the attention",
            "share of the attention",
            tuple(
                estimate_mean(table, group, label=names.get(group, group), bounds=SHARE)
                for group in GROUPS
                if group in table
            ),
        ),
        Finding("Attention heads that read content words", "", notes=_head_notes(by_head)),
    ]


def _head_notes(by_head: pd.DataFrame) -> tuple[str, ...]:
    """Report which attention heads attend to content words the most and the least."""
    ranked = by_head.sort_values("content", ascending=False).to_dict("records")
    return tuple(
        f"The {word}: attention head {row['attention_head']} of {short_name(row['layer'])} ({row['grid']}), with "
        f"{row['content']:.3f} of its attention (of {len(ranked)} attention heads; described, not tested)."
        for word, row in (("most", ranked[0]), ("least", ranked[-1]))
    )
