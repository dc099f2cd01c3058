"""Do the maps say what a word does to the picture? Attention is deleted, and the picture drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention import Edit, intervene, trace
from daam_syntax.drawing import DrawingSettings, generator_seed
from daam_syntax.figures import deletion_curves
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.common import (
    batched,
    content_words,
    draw,
    estimates_table,
    finding,
    image_row,
    inside_and_outside,
    parse_prompts,
    progress_bar,
    provenance,
    require_rows,
)
from daam_syntax.studies.plots import draw_estimates, draw_pictures
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Deleting the attention that a word gets"
QUESTION: Final = (
    "Does the picture change where the map of a word lies when the word's attention is deleted, more than when a "
    "random other word's is, and more than when as much attention is taken from all other keys?"
)
PROMPTS: Final = (
    "a red cat and a blue car",
    "a small owl on a green bed",
    "a dog chasing a yellow duck",
    "a pink house next to a tree",
    "a penguin holding a banana",
    "a big elephant in the snow",
    "a purple hat on a chair",
    "a robot riding a horse",
    "a white castle and a truck",
    "a strawberry and a guitar",
    "a black sheep in a field",
    "an orange fish and a crab",
)
SHARES: Final = (0.25, 0.5, 0.75)
ORDERS: Final = ("most attended first", "least attended first", "random")


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 1,
    steps: int | None = 10,
    guidance: float | None = None,
    threshold: str = "relative:0.4",
    pos: Sequence[str] = ("NOUN",),
    shares: Sequence[float] = SHARES,
    batch_size: int = 8,
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Delete the attention that words get, and measure where the picture changes.

    The change of a picture is the mean over its channels of the absolute difference of their values in [0, 1], drawn
    from the same noise. Weights are not renormalised, so that all conditions take away the same kind of thing:

    - *delete*: the word's weights are 0;
    - *random word*: those of another content word of the prompt are;
    - *equal mass*: the mass that the word has is taken from all other keys in proportion.

    For the curves, the word's weights are deleted in a share of the pixels only: those that attend to it most first,
    least first, or in random order. Insertion is the same read backwards: what is still missing when the weights are
    given back to the pixels that attend most.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    threshold
        Rule that makes a mask of a map.
    pos
        Universal parts of speech of the words that are deleted.
    shares
        Shares of the pixels, between 0 and 1.
    batch_size
        Images drawn at once.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "changes", one row per image, word and condition; "curves", one per image, word, order and
        share; "curve_means".
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    changes: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    with progress_bar(progress, len(sentences) * seeds) as advance:
        for sentence in sentences:
            for seed in range(seeds):
                with trace(pipe) as recording:
                    original = draw(pipe, sentence.text, seed, settings)[0]
                (maps,) = recording.heat_maps(sentences=sentence)
                for word in content_words(sentence, pos):
                    if word not in maps.mapped:
                        continue
                    edits = _edits(maps, word, shares, generator_seed(sentence.text, seed))
                    drawn = _draw_edited(pipe, sentence, seed, settings, edits, batch_size)
                    row = image_row(sentence, seed) | {
                        "word_index": word,
                        "word": sentence[word].text,
                    }
                    mask = maps[word].mask(threshold, original.shape[:2])
                    changes += [
                        row
                        | {"condition": name, "edited": _names(sentence, edits[name, share])}
                        | inside_and_outside(each.change, mask)
                        for (name, share), each in drawn.items()
                        if share == 1
                    ]
                    curves += [row | point for point in _points(drawn)]
                    example = example or [
                        ("original", original),
                        (f"map of {sentence[word].text!r}", maps[word].resize()),
                        *((name, each.picture) for (name, s), each in drawn.items() if s == 1),
                    ]
                advance()
    table = require_rows(changes, "a word to delete")
    curve_table = require_rows(curves, "a word to delete")
    estimates = _estimates(table, curve_table)
    means = _curve_means(curve_table)
    estimate_rows = estimates_table(estimates)
    return StudyResult(
        "intervention",
        TITLE,
        QUESTION,
        tuple(finding(estimate, digits=4) for estimate in estimates),
        {
            "estimates": estimate_rows,
            "changes": table,
            "curves": curve_table,
            "curve_means": means,
        },
        {
            "estimates": draw_estimates(estimate_rows, unit="change of the picture (0 to 1)"),
            "curves": _draw_curves(means),
            "example": draw_pictures(example, title=table["prompt"].iloc[0]),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(pipe, settings, seeds, sentences, threshold=threshold, pos=list(pos)),
    )


def ranked_masks(values: np.ndarray, share: float, seed: int) -> dict[str, np.ndarray]:
    """Return masks of a share of the pixels, in each of `ORDERS`.

    Parameters
    ----------
    values
        A map. *Shape:* (y, x)
    share
        Of the pixels, rounded to whole ones.
    seed
        Of the random order.

    Returns
    -------
    dict
        Order to mask, bool, *shape* (y, x).
    """
    n = round(share * values.size)
    upwards = np.argsort(values, axis=None, kind="stable")
    shuffled = np.random.default_rng(seed).permutation(values.size)
    masks = {}
    for order, places in zip(ORDERS, (upwards[::-1], upwards, shuffled), strict=True):
        mask = np.zeros(values.size, dtype=bool)
        mask[places[:n]] = True
        masks[order] = mask.reshape(values.shape)
    return masks


def _edits(
    maps: HeatMaps, word: int, shares: Sequence[float], seed: int
) -> dict[tuple[str, float], Edit]:
    """Return the edits of a word by condition and share of the pixels."""
    delete = Edit((word,), renormalise=False)
    edits = {("delete", 1.0): delete, ("equal mass", 1.0): delete.with_equal_mass()}
    others = [i for i in content_words(maps.sentence) if i in maps.mapped and i != word]
    if others:
        edits["random word", 1.0] = delete.with_random_words(others, seed=seed)
    for share in shares:
        for order, mask in ranked_masks(maps[word].values, share, seed).items():
            edits[order, share] = replace(delete, where=mask)
    return edits


@dataclass(frozen=True)
class _Drawn:
    """A picture, RGB in [0, 1], *shape* (y, x, 3), and its change, *shape* (y, x)."""

    picture: np.ndarray
    change: np.ndarray


def _draw_edited(
    pipe: Any,
    sentence: Sentence,
    seed: int,
    settings: DrawingSettings,
    edits: Mapping[tuple[str, float], Edit],
    batch_size: int,
) -> dict[tuple[str, float], _Drawn]:
    """Draw each edit's picture, always in one batch with the original that it is compared with."""
    drawn = {}
    for some in batched(edits.items(), max(1, batch_size - 1)):
        chosen = [replace(edit, images=(i,)) for i, (_, edit) in enumerate(some, start=1)]
        with intervene(pipe, chosen, sentences=sentence):
            original, *others = draw(pipe, sentence.text, seed, settings, copies=1 + len(chosen))
        for (key, _), picture in zip(some, others, strict=True):
            drawn[key] = _Drawn(picture, np.abs(picture - original).mean(axis=-1))
    return drawn


def _points(drawn: Mapping[tuple[str, float], _Drawn]) -> list[dict[str, Any]]:
    """Return the points of the curves; those of nothing and of all deleted belong to all of them."""
    inner = [(order, share, each) for (order, share), each in drawn.items() if share < 1]
    points = [(order, share, each.change.mean()) for order, share, each in inner]
    for order in ORDERS:
        points += [(order, 0.0, 0.0), (order, 1.0, drawn["delete", 1.0].change.mean())]
    return [{"order": order, "share": share, "change": change} for order, share, change in points]


def _names(sentence: Sentence, edit: Edit) -> str:
    names = " ".join(sentence[word].text for word in edit.words if isinstance(word, int))
    return f"all but {names}" if edit.paid_by == "others" else names


def _estimates(changes: pd.DataFrame, curves: pd.DataFrame) -> list[Estimate]:
    of = dict(iter(changes.groupby("condition")))
    deleted = of["delete"]
    found = [
        estimate_mean(deleted, "inside", label="change inside the word's mask, word deleted"),
        estimate_mean(deleted, "outside", label="change outside the word's mask, word deleted"),
        estimate_mean(deleted, "difference", label="inside minus outside, word deleted"),
    ]
    for control in ("random word", "equal mass"):
        if control in of:
            found += [
                estimate_difference(
                    deleted, of[control], "inside", label=f"change inside, word minus {control}"
                ),
                estimate_difference(
                    deleted,
                    of[control],
                    "difference",
                    label=f"inside minus outside, word minus {control}",
                ),
            ]
    areas = _areas(curves)
    by_order = dict(iter(areas.groupby("order")))
    for order, label in zip(ORDERS, ("deletion AUC", "insertion AUC"), strict=False):
        found.append(
            estimate_difference(
                by_order[order],
                by_order["random"],
                "area",
                label=f"{label}, by the map minus random order",
            )
        )
    return found


def _areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the area under each curve (trapezoids over shares from 0 to 1, so a mean change)."""
    keys = ["prompt_id", "image", "word_index", "order"]
    rows = []
    for values, curve in curves.sort_values("share").groupby(keys):
        area = float(np.trapezoid(curve["change"], curve["share"]))
        rows.append(dict(zip(keys, values, strict=True)) | {"area": area})
    return pd.DataFrame(rows)


def _curve_means(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each curve at each share, with intervals over prompts; insertion read backwards."""
    rows = []
    backwards = dict(zip(ORDERS, (ORDERS[1], ORDERS[0], ORDERS[2]), strict=True))
    for order in ORDERS:
        for _, points in curves[curves["order"] == order].groupby("share"):
            estimate = estimate_mean(points, "change")
            row: dict[str, Any] = {
                "mean": estimate.estimate,
                "low": estimate.low,
                "high": estimate.high,
            }
            place = float(points["share"].iloc[0])
            rows.append({"kind": "deletion", "curve": order, "share": place} | row)
            rows.append({"kind": "insertion", "curve": backwards[order], "share": 1 - place} | row)
    return pd.DataFrame(rows).sort_values(["kind", "curve", "share"], ignore_index=True)


def _draw_curves(means: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.6), layout="constrained", sharey=True)
    for ax, kind, label in zip(
        axes, ("deletion", "insertion"), ("deleted", "given back"), strict=True
    ):
        deletion_curves(
            means[means["kind"] == kind],
            reference="random",
            deleted=f"share of the pixels, {label}",
            ax=ax,
        )
    return figure
