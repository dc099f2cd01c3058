"""Do adjectives stay with their noun? After Tang et al. (2023), section 5.2, also with a fixed layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from PIL import Image

from daam_syntax.emoji.model import annotator_for
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.binding import region_shares
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.maps.selection import StepSelection
from daam_syntax.studies.adjectives.findings import FIXED, FREE, make_findings
from daam_syntax.studies.framework.comparisons import inside_and_outside
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.rewriting import swapped
from daam_syntax.studies.framework.stored_setup import StoredSetup
from daam_syntax.studies.framework.table_rows import image_row, require_rows

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator
    from daam_syntax.studies.framework.setup import Setup

DESIGN: Final = StudyDesign(
    name="adjectives",
    title="Adjectives and their nouns",
    question="Is the attention to an adjective broader than the attention to its noun, does it leak to the other noun, "
    "and does swapping only the adjective change just its noun or the whole image?",
    method="Adjectives are words that depend on a noun by the relation amod. The mask of a noun consists of the pixels "
    "of the first image where the noun's map is above the threshold. The mask of the other noun covers all other nouns "
    "that have an adjective; where the two are compared, pixels in both masks are left out. The noun's own mask cannot "
    "show how its map differs from that of its adjective, because it is made from the noun's map. Instead, either map "
    "is taken outside the mask of the other, and, for images of the embedded model, both maps outside the object that "
    "the annotator finds. Breadth is the effective area of a map: the share "
    "of the image that a flat map with the same entropy would cover. Each color is then swapped for another one, and "
    "the prompt is drawn again from the same noise: once freely (new layout), and once reusing the attention of the "
    "first image in the early steps, which keeps objects in place (layout held fixed). The change of an image is the "
    "mean absolute difference of its values, 0 to 1. If the annotator of the embedded model can judge the images, the "
    "pixels of both nouns are counted by color.",
    limits="The masks come from the maps under study: if a map misses its object, the change outside its mask appears "
    "larger. An adjective stands before its noun, so differences between the two may be due to their places in the "
    "sentence, and an adjective is nearer to its own noun than to the other one. "
    "Attention to an adjective that lies on a noun does not show that the adjective colors the noun; "
    "only the swaps are interventions, and they change the word, not its attention. The colors of pixels are judged by "
    "the annotator.",
    prompts="adjectives",
    seeds=1,
    steps=10,
    of_stored="the maps: their breadth and place",
    figures={
        "example": "The first swap: the image, the maps of the adjective and its noun, and two images with the other "
        "adjective from the same noise, one with the layout held fixed and one drawn freely.",
    },
    tables={
        "words": "Breadth of the map of each adjective and each noun.",
        "maps": "Share of the attention to each adjective in each mask, and the areas of the masks, which are the "
        "shares for a flat map; shares of the adjective's and the noun's attention outside the mask of the other.",
        "objects": "Shares of the attention to each adjective and its noun outside the object, according to the "
        "annotator.",
        "swaps": "Change of the image inside and outside the noun's mask.",
        "colors": "Shares of the nouns' pixels that have the old and the new color, according to the annotator.",
    },
)
_TABLES: Final = ("words", "maps", "objects", "swaps", "colors")
SWAPS: Final = ("red", "blue", "green", "yellow", "purple", "pink", "orange", "black", "white")
"""Adjectives to swap, each for the next one that the prompt does not contain."""


def run(
    setup: Setup | StoredSetup,
    *,
    threshold: str = "relative:0.4",
    swaps: tuple[str, ...] = SWAPS,
    cross_steps: StepSelection = slice(0, 0.8),
    self_steps: StepSelection = slice(0, 0.4),
) -> StudyResult:
    """Measure the maps of adjectives and nouns, swap adjectives, and measure where the image changes.

    Parameters
    ----------
    setup
        A setup whose pipeline has cross-attention (see `reuse_attention`). For a stored run, only the maps are
        measured, and nothing is swapped.
    threshold
        Threshold rule for masks.
    swaps
        Adjectives that are swapped for one another; other adjectives are measured but not swapped.
    cross_steps
        Denoising steps in which the cross-attention of the first image is reused, see `reuse_attention`.
    self_steps
        Denoising steps in which the self-attention of the first image is reused.
    """
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in _TABLES}
    example: list[tuple[str, np.ndarray]] = []
    if isinstance(setup, StoredSetup):
        for traced in setup.traced_images():
            measure_maps(traced.maps, traced.seed, threshold, rows)
    else:
        example = _swap_adjectives(setup, rows, threshold, swaps, cross_steps, self_steps)
    require_rows(rows["maps"], "a noun with an adjective")
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(tables),
        tables,
        {"example": draw_images(example, title=tables["maps"]["prompt"].iloc[0])}
        if example
        else {},
        threshold=threshold,
        swaps=list(swaps),
        cross_steps=str(cross_steps),
        self_steps=str(self_steps),
    )


@dataclass(frozen=True)
class _Pair:
    """An adjective and its noun in one image: their columns, and the masks of this noun and of the other nouns."""

    adjective: int
    noun: int
    row: dict[str, Any]
    own: np.ndarray
    other: np.ndarray


def measure_maps(
    maps: HeatMaps, seed: int, threshold: str, rows: dict[str, list[dict[str, Any]]]
) -> list[_Pair]:
    """Measure breadth and place of the maps of each adjective and its noun, add them to the rows, return the pairs."""
    pairs = []
    sentence = maps.sentence
    for adjective, noun in modified_nouns(sentence):
        if not {adjective, noun} <= set(maps.mapped):
            continue
        own, other = _masks(maps, (adjective, noun), threshold, maps.image_size)
        row = image_row(sentence, seed) | {
            "adjective_index": adjective,
            "adjective": sentence[adjective].text,
            "noun": sentence[noun].text,
        }
        rows["words"] += _breadth(maps, row, adjective, noun)
        of_adjective, of_noun = (maps[word].resize(own.shape) for word in (adjective, noun))
        crossed = _crossed(of_adjective, of_noun, maps[adjective].mask(threshold, own.shape), own)
        rows["maps"].append(row | _where_it_lies(of_adjective, own, other) | crossed)
        pairs.append(_Pair(adjective, noun, row, own, other))
    return pairs


def _swap_adjectives(
    setup: Setup,
    rows: dict[str, list[dict[str, Any]]],
    threshold: str,
    swaps: tuple[str, ...],
    cross_steps: StepSelection,
    self_steps: StepSelection,
) -> list[tuple[str, np.ndarray]]:
    """Draw every prompt, measure its maps, swap its adjectives, and add the results to the rows; return an example."""
    from daam_syntax.attention import record_attention, reuse_attention

    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        with record_attention(setup.pipe) as recorded:
            original, maps = setup.trace(sentence, seed)
        pairs = measure_maps(maps, seed, threshold, rows)
        annotator = annotator_for(setup.pipe)
        if annotator is not None:
            rows["objects"] += _object_rows(annotator, original, maps, pairs)
        for pair in pairs:
            adjective, noun = pair.adjective, pair.noun
            swap = swapped(sentence, adjective, swaps)
            if swap is None:
                continue
            free = setup.draw(swap.prompt, seed, noise_of=sentence.text)[0]
            with reuse_attention(
                setup.pipe,
                recorded,
                cross_steps=cross_steps,
                self_steps=self_steps,
                parser=setup.parser,
                sentences=sentence,
            ):
                fixed = setup.draw(swap.prompt, seed, noise_of=sentence.text)[0]
            images = {FREE: free, FIXED: fixed}
            for condition, image in images.items():
                change = np.abs(image - original).mean(axis=-1)
                rows["swaps"].append(
                    pair.row
                    | {"swapped_for": swap.adjective, "condition": condition}
                    | inside_and_outside(change, pair.own)
                )
            if annotator is not None:
                others = [sentence[each.noun].text for each in pairs if each.noun != noun]
                rows["colors"] += _color_rows(
                    annotator, {"original": original, **images}, pair.row, swap.adjective, others
                )
            example = example or [
                (f"{sentence[adjective].text} {sentence[noun].text}", original),
                (f"map of {sentence[adjective].text!r}", maps[adjective].resize()),
                (f"map of {sentence[noun].text!r}", maps[noun].resize()),
                (f"{swap.adjective}, layout fixed", fixed),
                (f"{swap.adjective}, drawn freely", free),
            ]
    return example


def _object_rows(
    annotator: Annotator, image: np.ndarray, maps: HeatMaps, pairs: list[_Pair]
) -> list[dict[str, Any]]:
    """Return the shares of both words' attention outside the noun's object, for nouns that the annotator knows."""
    from daam_syntax.emoji.vocabulary import NOUNS

    (seen,) = annotator([Image.fromarray((image * 255).round().astype(np.uint8))])
    rows = []
    for pair in pairs:
        noun = maps.sentence[pair.noun].text
        values = [maps[word].resize(pair.own.shape) for word in (pair.adjective, pair.noun)]
        region = seen.mask(noun) if noun in NOUNS else None
        rows.append(pair.row | _on_object(values[0], values[1], region))
    return rows


def modified_nouns(sentence: Sentence) -> list[tuple[int, int]]:
    """Return the indices of each adjective and its noun, in order; an adjective depends on its noun by amod."""
    return sorted(
        (edge.dependent, edge.head)
        for edge in sentence.edges_of("native")
        if edge.relation == "amod"
    )


def _masks(
    maps: HeatMaps, pair: tuple[int, int], threshold: str, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of a pair's noun, and that of the other nouns with adjectives; *shape* `size`."""
    own = maps[pair[1]].mask(threshold, size)
    others = {
        noun for _, noun in modified_nouns(maps.sentence) if noun != pair[1] and noun in maps.mapped
    }
    other = np.zeros_like(own)
    for noun in others:
        other |= maps[noun].mask(threshold, size)
    return own, other


def _breadth(
    maps: HeatMaps, row: Mapping[str, Any], adjective: int, noun: int
) -> list[dict[str, Any]]:
    areas = effective_area(maps.stack([adjective, noun]))
    return [
        {**row, "role": role, "effective_area": float(area)}
        for role, area in zip(("adjective", "noun"), areas, strict=True)
    ]


def _where_it_lies(values: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Return the shares of an adjective's attention in both masks, and what they exceed the areas of the masks by."""
    only = own & ~other
    masks = np.stack([own, only, other & ~own])
    shares = region_shares(values[None], masks)[0]
    areas = [float(mask.mean()) if mask.any() else float("nan") for mask in masks]
    on_own, on_only, on_other = (float(share) for share in shares)
    return {
        "on_noun": on_own,
        "noun_area": areas[0],
        "outside_noun": 1 - on_own,
        "on_other_noun": on_other,
        "other_noun_area": areas[2],
        "excess_on_noun": on_own - areas[0],
        "excess_on_noun_only": on_only - areas[1],
        "excess_on_other_noun": on_other - areas[2],
    }


def _crossed(
    adjective: np.ndarray, noun: np.ndarray, of_adjective: np.ndarray, of_noun: np.ndarray
) -> dict[str, Any]:
    """Return the share of either map outside the mask of the other map: equal on average if they are exchangeable."""
    shares = [
        float(region_shares(values[None], mask[None])[0, 0])
        for values, mask in ((adjective, of_noun), (noun, of_adjective))
    ]
    return {"adjective_outside_other": 1 - shares[0], "noun_outside_other": 1 - shares[1]}


def _on_object(
    adjective: np.ndarray, noun: np.ndarray, region: np.ndarray | None
) -> dict[str, Any]:
    """Return the shares of both maps outside the object that the annotator finds."""
    if region is None or not region.any():
        nothing = {"adjective_outside_object": float("nan"), "noun_outside_object": float("nan")}
        return nothing | {"reason": "the annotator does not find the noun"}
    shares = region_shares(np.stack([adjective, noun]), region[None])[:, 0]
    outside = {"adjective_outside_object": 1 - float(shares[0])}
    return outside | {"noun_outside_object": 1 - float(shares[1]), "reason": ""}


def _color_rows(
    annotator: Annotator,
    images: Mapping[str, np.ndarray],
    row: Mapping[str, Any],
    new: str,
    others: list[str],
) -> list[dict[str, Any]]:
    """Return the share of the pixels of the noun and of the other nouns that have the old and the new color."""
    from daam_syntax.emoji.annotator import COLOR_CLASSES, MIN_AREA
    from daam_syntax.emoji.vocabulary import NOUNS

    annotations = annotator(
        [Image.fromarray((image * 255).round().astype(np.uint8)) for image in images.values()]
    )
    rows = []
    for condition, seen in zip(images, annotations, strict=True):
        for role, nouns in (("noun", [row["noun"]]), ("other noun", others)):
            known = [noun for noun in nouns if noun in NOUNS]
            mask = np.any([seen.mask(noun) for noun in known], axis=0) & (seen.nouns > 0)
            found = mask.sum() >= MIN_AREA
            shares = {
                name: float((seen.colors[mask] == COLOR_CLASSES.index(color)).mean())
                if found and color in COLOR_CLASSES
                else float("nan")
                for name, color in (("old_color", row["adjective"]), ("new_color", new))
            }
            reason = "" if found else "the annotator does not find it"
            rows.append({**row, "condition": condition, "role": role, **shares, "reason": reason})
    return rows
