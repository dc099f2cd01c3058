"""Does the map of a word show what the word does to the image? Its attention is deleted, and the image redrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention import Edit, LayerSelection, intervene
from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.figures import deletion_curves
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.selection import StepSelection
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.comparisons import inside_and_outside
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, means_and_difference
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row, require_rows
from daam_syntax.studies.framework.word_classes import (
    class_name,
    content_words,
    places_of,
    word_class,
)

DESIGN: Final = StudyDesign(
    name="intervention",
    title="Deleting the attention to a word",
    question="If the attention to a word is deleted, does the image change where the word's map lies, more than if the "
    "attention to another word is deleted, and more than if the same amount is taken from all other keys?",
    method="The attention weights of each noun are set to 0 in all layers and steps, and the image is drawn again from "
    "the same noise. The change is the mean absolute difference of the image values, 0 to 1, inside and outside the "
    "mask from the noun's map in the first image. The weights are not renormalized, which makes the conditions "
    "comparable. In “random noun”, “random adjective”, and so on, those of another content word of the prompt are "
    "deleted, one of each part of speech, because other parts of speech do other things to the image; with the "
    "embedded model, nouns of places are apart from nouns of objects. In “equal mass”, as much attention as the noun "
    "receives is taken from all other keys in proportion to theirs. For the curves, the noun's weights are deleted in "
    "only a share of the pixels: those that attend to the noun most come first, or last, or the order is random; "
    "insertion restores the weights in the same order. The area under a curve (AUC) is its mean change.",
    limits="Deleting attention puts the model in a state it was not trained for, so part of a change may be damage "
    "rather than the absence of the word; the controls serve to distinguish the two. A change inside the mask shows "
    "that the map lies where deleting the word matters, not that the map is complete.",
    prompts="scenes",
    seeds=1,
    steps=10,
    figures={
        "curves": "Change of the whole image as the attention to the word is deleted in more and more pixels (left) "
        "and as it is restored (right: the change that remains). Bands are intervals over prompts.",
        "example": "The first word: the image, the word's map, and the image in each condition, from the same noise.",
    },
    tables={
        "changes": "Change of the image by word and condition.",
        "curves": "Change of the whole image by word, order, and share of the pixels.",
        "curve_means": "Means of the curves over prompts.",
    },
)
RANDOM: Final = "random "
"""How the names of controls with a random word begin; the class of the word follows."""

SHARES: Final = (0.25, 0.5, 0.75)
ORDERS: Final = ("most attended first", "least attended first", "random")


def run(
    setup: Setup,
    *,
    threshold: str = "relative:0.4",
    pos: Sequence[str] = ("NOUN",),
    shares: Sequence[float] = SHARES,
    scale: float = 0.0,
    renormalize: bool = False,
    in_steps: StepSelection = None,
    in_layers: LayerSelection = None,
    in_heads: Sequence[int] | None = None,
    batch_size: int = 8,
) -> StudyResult:
    """Delete the attention to words, and measure where the image changes.

    Parameters
    ----------
    setup
        The setup.
    threshold
        Threshold rule for masks.
    pos
        Universal parts of speech of the words to delete.
    shares
        Shares of the pixels for the curves, between 0 and 1.
    scale
        Factor on the words' attention weights, 0 or more; 0 deletes them, see `daam_syntax.Edit`.
    renormalize
        Whether each pixel's weights are divided by their sum after the edit.
    in_steps
        Denoising steps of the edit, see `StepSelection`; all unless given.
    in_layers
        Layers of the edit, by a part of their path, a grid such as 16x16, or a number of grid rows; all unless given.
    in_heads
        Numbers of the attention heads of the edit, from 0; all unless given.
    batch_size
        Number of images drawn together.
    """
    edit = Edit(
        (0,),
        scale=scale,
        renormalize=renormalize,
        steps=in_steps,
        layers=in_layers,
        heads=None if in_heads is None else tuple(in_heads),
    )
    places = places_of(setup.pipe)
    changes: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        original, maps = setup.trace(sentence, seed)
        for word in content_words(sentence, pos):
            if word not in maps.mapped:
                continue
            edits = _edits(
                maps,
                replace(edit, words=(word,)),
                shares,
                places,
                generator_seed(sentence.text, seed),
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
                *((_label(name, edit), e.image) for (name, s), e in drawn.items() if s == 1),
            ]
    table = require_rows(changes, "a word to delete")
    curve_table = require_rows(curves, "a word to delete")
    means = _curve_means(curve_table)
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(table, curve_table, edit),
        {"changes": table, "curves": curve_table, "curve_means": means},
        {
            "curves": _draw_curves(means),
            "example": draw_images(example, title=table["prompt"].iloc[0]),
        },
        threshold=threshold,
        pos=list(pos),
        edit={name: value for name, value in edit.describe().items() if name != "words"},
    )


def ranked_masks(values: np.ndarray, share: float, seed: int) -> dict[str, np.ndarray]:
    """Return masks of a share of the pixels, one for each of `ORDERS`.

    Parameters
    ----------
    values
        A map. *Shape:* (y, x)
    share
        Share of the pixels, rounded to a whole number of pixels.
    seed
        Seed of the random order.

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
    maps: HeatMaps, delete: Edit, shares: Sequence[float], places: frozenset[str], seed: int
) -> dict[tuple[str, float], Edit]:
    """Return the edit of a word and its controls, by condition and share of the pixels."""
    (deleted,) = delete.words
    edits = {("delete", 1.0): delete, ("equal mass", 1.0): delete.with_equal_mass()}
    others: dict[str, list[int]] = {}
    for other in content_words(maps.sentence):
        if other in maps.mapped and other != deleted:
            others.setdefault(word_class(maps.sentence, other, places), []).append(other)
    for name, words in others.items():
        edits[f"{RANDOM}{class_name(name)}", 1.0] = delete.with_random_words(words, seed=seed)
    for share in shares:
        for order, mask in ranked_masks(maps[deleted].values, share, seed).items():
            edits[order, share] = replace(delete, where=mask)
    return edits


@dataclass(frozen=True)
class _Drawn:
    """An image, RGB in [0, 1], *shape* (y, x, 3), and its change, *shape* (y, x)."""

    image: np.ndarray
    change: np.ndarray


def _draw_edited(
    setup: Setup,
    sentence: Sentence,
    seed: int,
    edits: Mapping[tuple[str, float], Edit],
    batch_size: int,
) -> dict[tuple[str, float], _Drawn]:
    """Draw the image of each edit, always in one batch with the original that it is compared with."""
    drawn = {}
    items = list(edits.items())
    n = max(1, batch_size - 1)
    for start in range(0, len(items), n):
        some = items[start : start + n]
        chosen = [replace(edit, images=(i,)) for i, (_, edit) in enumerate(some, start=1)]
        with intervene(setup.pipe, chosen, sentences=sentence):
            original, *others = setup.draw(sentence.text, seed, copies=1 + len(chosen))
        for (key, _), image in zip(some, others, strict=True):
            drawn[key] = _Drawn(image, np.abs(image - original).mean(axis=-1))
    return drawn


def _points(drawn: Mapping[tuple[str, float], _Drawn]) -> list[dict[str, Any]]:
    """Return the points of the curves; all curves share their ends, with nothing and with everything deleted."""
    inner = [(order, share, each) for (order, share), each in drawn.items() if share < 1]
    points = [(order, share, each.change.mean()) for order, share, each in inner]
    for order in ORDERS:
        points += [(order, 0.0, 0.0), (order, 1.0, drawn["delete", 1.0].change.mean())]
    return [{"order": order, "share": share, "change": change} for order, share, change in points]


def _names(sentence: Sentence, edit: Edit) -> str:
    names = " ".join(sentence[word].text for word in edit.words if isinstance(word, int))
    return f"all but {names}" if edit.paid_by == "others" else names


def _label(condition: str, edit: Edit) -> str:
    """Return the label of a condition."""
    if condition == "equal mass":
        return "equal mass taken from all other keys"
    done = "deleted" if edit.scale == 0 else f"times {edit.scale:g}"
    return f"{condition if condition.startswith(RANDOM) else 'word'} {done}"


def _conditions_in(changes: pd.DataFrame) -> list[str]:
    """Return the conditions of a table: the word, random words from the most frequent class on, equal mass."""
    names = changes["condition"].value_counts(sort=True).index
    return ["delete", *(name for name in names if name.startswith(RANDOM)), "equal mass"]


def _edit_notes(edit: Edit) -> tuple[str, ...]:
    """Report the settings of the edit that differ from the method."""
    usual = Edit((0,), renormalize=False).describe()
    other = {name: value for name, value in edit.describe().items() if value != usual[name]}
    if not other:
        return ()
    named = ", ".join(f"{name} {value}" for name, value in other.items())
    return (f"Unlike in the method above, the attention was edited with {named}.",)


def make_findings(changes: pd.DataFrame, curves: pd.DataFrame, edit: Edit) -> list[Finding]:
    """Return the findings: where deleting a word's attention changes the image, and the curves of deletion."""
    return [*_of_places(changes, edit), _of_curves(curves)]


def _of_places(changes: pd.DataFrame, edit: Edit) -> list[Finding]:
    of = dict(iter(changes.groupby("condition")))
    deleted = of["delete"]
    places: list[Estimate] = []
    contrasts: list[Estimate] = []
    conditions = _conditions_in(changes)
    for name in conditions:
        label = _label(name, edit)
        sides = [of[name].assign(change=of[name][side]) for side in ("inside", "outside")]
        labels = [f"{label}, {side} the word's mask" for side in ("inside", "outside")]
        inside, outside, difference = means_and_difference(
            sides[0],
            sides[1],
            "change",
            (labels[0], labels[1], f"{label}: inside minus outside"),
            SHARE,
        )
        places += [inside, outside]
        contrasts += [difference] if name == "delete" else []
    for control in conditions[1:]:
        contrasts += [
            estimate_difference(
                deleted,
                of[control],
                side,
                label=f"{named}, word minus {control}",
                bounds=bounds,
            )
            for side, named, bounds in (
                ("inside", "inside", SHARE),
                ("difference", "inside minus outside", (-1.0, 1.0)),
            )
        ]
    unit = "change of the image (0 to 1)"
    return [
        Finding("Place of the change", unit, tuple(places), notes=_edit_notes(edit)),
        Finding("Comparison with the controls", unit, tuple(contrasts)),
    ]


def _of_curves(curves: pd.DataFrame) -> Finding:
    by_order = dict(iter(_areas(curves).groupby("order")))
    return Finding(
        "Deletion and insertion",
        "area under the curve: mean change of the image",
        tuple(
            estimate_difference(
                by_order[order],
                by_order["random"],
                "area",
                label=f"{name} AUC, most attended pixels first minus random order",
                bounds=SHARE,
            )
            # Insertion is deletion of the least attended pixels first, read backwards.
            for order, name in zip(ORDERS, ("deletion", "insertion"), strict=False)
        ),
        notes=(
            "A map that shows where the word matters has a deletion AUC above that of the random order, and an "
            "insertion AUC below it.",
        ),
    )


def _areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the area under each curve by trapezoids over the shares 0 to 1, which makes it a mean change."""
    keys = ["prompt_id", "image", "word_index", "order"]
    rows = []
    for values, curve in curves.sort_values("share").groupby(keys):
        area = float(np.trapezoid(curve["change"], curve["share"]))
        rows.append(dict(zip(keys, values, strict=True)) | {"area": area})
    return pd.DataFrame(rows)


def _curve_means(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each curve at each share, with intervals over prompts; insertion is read backwards."""
    rows = []
    backwards = dict(zip(ORDERS, (ORDERS[1], ORDERS[0], ORDERS[2]), strict=True))
    for order in ORDERS:
        for _, points in curves[curves["order"] == order].groupby("share"):
            estimate = estimate_mean(points, "change", bounds=SHARE)
            row: dict[str, Any] = {
                "mean": estimate.estimate,
                "low": estimate.low,
                "high": estimate.high,
                "n_prompts": estimate.n_prompts,
            }
            place = float(points["share"].iloc[0])
            rows.append({"kind": "deletion", "curve": order, "share": place} | row)
            rows.append({"kind": "insertion", "curve": backwards[order], "share": 1 - place} | row)
    means = pd.DataFrame(rows).sort_values(["kind", "curve", "share"], ignore_index=True)
    means.attrs["level"] = estimate.level
    return means


def _draw_curves(means: pd.DataFrame) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.0), layout="constrained", sharey=True)
    for ax, kind, label in zip(
        axes, ("deletion", "insertion"), ("deleted", "restored"), strict=True
    ):
        deletion_curves(
            means[means["kind"] == kind],
            reference="random",
            deleted=f"share of the pixels, {label}",
            ax=ax,
        )
        ax.set_xlabel(ax.get_xlabel().replace("; ", "\n"))  # as wide as its axes
        ax.yaxis.label.set_size("small")
    axes[1].set_ylabel("")  # that of the first
    return figure
