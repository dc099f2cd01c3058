"""Do the maps say what a word does to the picture? Attention is deleted, and the picture drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.attention import Edit, LayerSelection, intervene
from daam_syntax.drawing.traced_images import generator_seed
from daam_syntax.figures import deletion_curves
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.selection import StepSelection
from daam_syntax.studies.framework.common import (
    SHARE,
    batched,
    content_words,
    image_row,
    inside_and_outside,
    require_rows,
)
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.plots import draw_pictures
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup

DESIGN: Final = StudyDesign(
    name="intervention",
    title="Deleting the attention that a word gets",
    question="Does the picture change where the map of a word lies when the word's attention is deleted, more than "
    "when a random other word's is, and more than when as much attention is taken from all other keys?",
    method="Each noun's attention weights are set to 0 in all layers and steps, and the picture is drawn again from "
    "the same noise. The change is the mean absolute difference of the pictures' values, 0 to 1, inside and outside "
    "the mask that the noun's map gave in the first picture. Weights are not renormalised, so that all conditions "
    "take away the same kind of thing: in the condition “random word” those of another content word of the prompt are "
    "deleted, in “equal mass” as much attention as the noun has is taken from all other keys in proportion. For the "
    "curves, the noun's weights are deleted in a share of the pixels only: those that attend to it most first, least "
    "first, or in random order; insertion gives them back in that order. The area under a curve (AUC) is its mean "
    "change.",
    limits="Deleting attention takes the model out of what it was trained on, so that part of a change may be damage "
    "and not the word's absence; the controls are there to tell the two apart. A change inside the mask shows that "
    "the map lies where deleting the word matters, not that the map is complete.",
    prompts="scenes",
    seeds=1,
    steps=10,
    figures={
        "curves": "Change of the whole picture while the word's attention is deleted in more and more of the pixels "
        "(left), and while it is given back (right: what is still missing). Bands are intervals over prompts.",
        "example": "The first word: the picture, its map, and the picture in each condition, from the same noise.",
    },
    tables={
        "changes": "Change of the picture by word and condition.",
        "curves": "Change of the whole picture by word, order, and share of the pixels.",
        "curve_means": "The means of the curves over prompts.",
    },
)
SHARES: Final = (0.25, 0.5, 0.75)
ORDERS: Final = ("most attended first", "least attended first", "random")


def run(
    setup: Setup,
    *,
    threshold: str = "relative:0.4",
    pos: Sequence[str] = ("NOUN",),
    shares: Sequence[float] = SHARES,
    scale: float = 0.0,
    renormalise: bool = False,
    in_steps: StepSelection = None,
    in_layers: LayerSelection = None,
    in_heads: Sequence[int] | None = None,
    batch_size: int = 8,
) -> StudyResult:
    """Delete the attention that words get, and measure where the picture changes.

    Parameters
    ----------
    setup
        What is drawn.
    threshold
        Rule that makes a mask of a map.
    pos
        Universal parts of speech of the words that are deleted.
    shares
        Shares of the pixels, between 0 and 1.
    scale, renormalise
        What is done to the words' weights instead of deleting them, see `daam_syntax.Edit`.
    in_steps, in_layers, in_heads
        Where it is done instead of everywhere: steps, layers and heads of `daam_syntax.Edit`.
    batch_size
        Images drawn at once.
    """
    edit = Edit(
        (0,),
        scale=scale,
        renormalise=renormalise,
        steps=in_steps,
        layers=in_layers,
        heads=None if in_heads is None else tuple(in_heads),
    )
    conditions = _conditions(edit)
    changes: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        original, maps = setup.trace(sentence, seed)
        for word in content_words(sentence, pos):
            if word not in maps.mapped:
                continue
            edits = _edits(
                maps, replace(edit, words=(word,)), shares, generator_seed(sentence.text, seed)
            )
            drawn = _draw_edited(setup, sentence, seed, edits, batch_size)
            named = {"word_index": word, "word": sentence[word].text}
            row = image_row(sentence, seed) | named
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
                *((conditions[name], e.picture) for (name, s), e in drawn.items() if s == 1),
            ]
    table = require_rows(changes, "a word to delete")
    curve_table = require_rows(curves, "a word to delete")
    means = _curve_means(curve_table)
    return StudyResult.of(
        DESIGN,
        setup,
        [*_of_places(table, conditions, _said(edit)), _of_curves(curve_table)],
        {"changes": table, "curves": curve_table, "curve_means": means},
        {
            "curves": _draw_curves(means),
            "example": draw_pictures(example, title=table["prompt"].iloc[0]),
        },
        threshold=threshold,
        pos=list(pos),
        edit={name: value for name, value in edit.describe().items() if name != "words"},
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
    maps: HeatMaps, delete: Edit, shares: Sequence[float], seed: int
) -> dict[tuple[str, float], Edit]:
    """Return a word's edit and its controls, by condition and share of the pixels."""
    (word,) = delete.words
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
    setup: Setup,
    sentence: Sentence,
    seed: int,
    edits: Mapping[tuple[str, float], Edit],
    batch_size: int,
) -> dict[tuple[str, float], _Drawn]:
    """Draw each edit's picture, always in one batch with the original that it is compared with."""
    drawn = {}
    for some in batched(edits.items(), max(1, batch_size - 1)):
        chosen = [replace(edit, images=(i,)) for i, (_, edit) in enumerate(some, start=1)]
        with intervene(setup.pipe, chosen, sentences=sentence):
            original, *others = setup.draw(sentence.text, seed, copies=1 + len(chosen))
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


def _conditions(edit: Edit) -> dict[str, str]:
    """Return what the conditions are called."""
    done = "deleted" if edit.scale == 0 else f"times {edit.scale:g}"
    return {
        "delete": f"word {done}",
        "random word": f"random word {done}",
        "equal mass": "equal mass taken from all others",
    }


def _said(edit: Edit) -> tuple[str, ...]:
    """Say what was done where it is not what the method describes."""
    usual = Edit((0,), renormalise=False).describe()
    other = {name: value for name, value in edit.describe().items() if value != usual[name]}
    if not other:
        return ()
    named = ", ".join(f"{name} {value}" for name, value in other.items())
    return (f"Unlike in the method above, attention was edited with {named}.",)


def _of_places(
    changes: pd.DataFrame, conditions: Mapping[str, str], notes: tuple[str, ...]
) -> list[Finding]:
    of = dict(iter(changes.groupby("condition")))
    deleted = of["delete"]
    places = [
        estimate_mean(of[name], side, label=f"{said}, {side} the word's mask", bounds=SHARE)
        for name, said in conditions.items()
        if name in of
        for side in ("inside", "outside")
    ]
    contrasts = [
        estimate_mean(deleted, "difference", label=f"{conditions['delete']}: inside minus outside")
    ]
    for control in ("random word", "equal mass"):
        if control in of:
            contrasts += [
                estimate_difference(
                    deleted,
                    of[control],
                    "inside",
                    label=f"inside, word minus {control}",
                    bounds=SHARE,
                ),
                estimate_difference(
                    deleted,
                    of[control],
                    "difference",
                    label=f"inside minus outside, word minus {control}",
                    bounds=(-1, 1),
                ),
            ]
    unit = "change of the picture (0 to 1)"
    return [
        Finding("Where the picture changes", unit, tuple(places), notes=notes),
        Finding("Against the controls", unit, tuple(contrasts)),
    ]


def _of_curves(curves: pd.DataFrame) -> Finding:
    by_order = dict(iter(_areas(curves).groupby("order")))
    return Finding(
        "Deletion and insertion",
        "area under the curve: mean change of the picture",
        tuple(
            estimate_difference(
                by_order[order],
                by_order["random"],
                "area",
                label=f"{name} AUC, most attended pixels first minus random order",
                bounds=SHARE,
            )
            # Insertion is deletion of the least attended first, read backwards.
            for order, name in zip(ORDERS, ("deletion", "insertion"), strict=False)
        ),
        notes=(
            "A map that says where the word matters has a deletion AUC above that of random order, and an insertion "
            "AUC below it.",
        ),
    )


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
            estimate = estimate_mean(points, "change", bounds=SHARE)
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
