"""Do adjectives stay with their noun? After Tang et al. (2023), section 5.2, with the layout held fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from PIL import Image

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.binding import leakage
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.maps.selection import StepSelection
from daam_syntax.pipelines.loading import is_emoji
from daam_syntax.studies.adjectives.findings import FIXED, FREE, answers
from daam_syntax.studies.framework.common import image_row, inside_and_outside, require_rows
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.plots import draw_pictures
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.rewriting import swapped
from daam_syntax.studies.framework.stored_setup import StoredSetup

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup

DESIGN: Final = StudyDesign(
    name="adjectives",
    title="Adjectives and their nouns",
    question="Does an adjective attend more broadly than its noun, does its attention leak to the other noun, and what "
    "changes in the picture when only the adjective is swapped: its noun, or everything?",
    method="Adjectives are the dependents of nouns by the relation amod. A noun's mask is where its map, in the first "
    "picture, lies above the threshold; the other noun's mask is that of any other noun with an adjective, without the "
    "pixels of the first. Breadth is the effective area of a map: the share of the picture that a flat map of the same "
    "entropy would cover. Then each colour is swapped for another one and the prompt drawn again from the same noise, "
    "once freely (new layout), and once with the first picture's attention re-used in the first steps, so that objects "
    "stay in their places (layout held fixed). The change of a picture is the mean absolute difference of its values, "
    "0 to 1. Where the annotator of the embedded model can judge, the pixels of both nouns are counted by colour.",
    limits="Masks come from the maps that are studied: a map that misses its object makes the change outside its mask "
    "larger. That attention lies on a noun does not show that the adjective colours it; only the swaps intervene, on "
    "the word and not on its attention. Colours of pixels are the annotator's judgement.",
    prompts="adjectives",
    seeds=1,
    steps=10,
    of_stored="the maps: breadth, and where attention lies",
    figures={
        "example": "The first swap: the picture, the maps of the adjective and of its noun, and the picture with the "
        "other adjective, with the layout held fixed and drawn freely, from the same noise.",
    },
    tables={
        "words": "Breadth of the maps of each adjective and its noun.",
        "maps": "Where the attention of each adjective and its noun lies, beside the areas of the masks: what a flat "
        "map would give.",
        "swaps": "Change of the picture inside and outside the noun's mask.",
        "colours": "Shares of the nouns' pixels that the annotator sees in the old and in the new colour.",
    },
)
SWAPS: Final = ("red", "blue", "green", "yellow", "purple", "pink", "orange", "black", "white")
"""Adjectives that are swapped, each for the next one that the prompt does not have."""


def run(
    setup: Setup | StoredSetup,
    *,
    threshold: str = "relative:0.4",
    swaps: tuple[str, ...] = SWAPS,
    cross_steps: StepSelection = slice(0, 0.8),
    self_steps: StepSelection = slice(0, 0.4),
) -> StudyResult:
    """Measure the maps of adjectives and nouns, swap adjectives, and measure where the picture changes.

    Parameters
    ----------
    setup
        With a pipeline that has cross-attention (see `reuse_attention`); or a stored run, of which only the maps are
        measured: nothing is swapped.
    threshold
        Rule that makes a mask of a map.
    swaps
        The adjectives that are swapped for one another. Others are measured but not swapped.
    cross_steps, self_steps
        In which steps the first picture's attention is re-used, see `reuse_attention`.
    """
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in ("words", "maps", "swaps", "colours")}
    example: list[tuple[str, np.ndarray]] = []
    if isinstance(setup, StoredSetup):
        for drawing in setup.drawings():
            _measure_maps(drawing.maps, drawing.seed, threshold, rows)
    else:
        example = _swap_adjectives(setup, rows, threshold, swaps, cross_steps, self_steps)
    require_rows(rows["maps"], "a noun with an adjective")
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    return StudyResult.of(
        DESIGN,
        setup,
        answers(tables),
        tables,
        {"example": draw_pictures(example, title=tables["maps"]["prompt"].iloc[0])}
        if example
        else {},
        threshold=threshold,
        swaps=list(swaps),
        cross_steps=str(cross_steps),
        self_steps=str(self_steps),
    )


@dataclass(frozen=True)
class _Pair:
    """An adjective and its noun in one picture: their columns, and the masks of its noun and of the others."""

    adjective: int
    noun: int
    row: dict[str, Any]
    own: np.ndarray
    other: np.ndarray


def _measure_maps(
    maps: HeatMaps, seed: int, threshold: str, rows: dict[str, list[dict[str, Any]]]
) -> list[_Pair]:
    """Add breadth and place of the maps of each adjective and its noun to the rows; return these pairs."""
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
        where = _where_it_lies(maps[adjective].resize(own.shape), own, other)
        of_noun = _where_it_lies(maps[noun].resize(own.shape), own, other)
        where["noun_outside_noun"] = of_noun["outside_noun"]
        rows["maps"].append(row | where)
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
    """Draw every prompt, measure its maps, swap its adjectives, and add it all to the rows; return an example."""
    from daam_syntax.attention import record_attention, reuse_attention

    example: list[tuple[str, np.ndarray]] = []
    for sentence, seed in setup.images_of(setup.sentences):
        with record_attention(setup.pipe) as recorded:
            original, maps = setup.trace(sentence, seed)
        pairs = _measure_maps(maps, seed, threshold, rows)
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
            pictures = {FREE: free, FIXED: fixed}
            for condition, picture in pictures.items():
                change = np.abs(picture - original).mean(axis=-1)
                rows["swaps"].append(
                    pair.row
                    | {"swapped_for": swap.adjective, "condition": condition}
                    | inside_and_outside(change, pair.own)
                )
            if is_emoji(setup.pipe):
                others = [sentence[each.noun].text for each in pairs if each.noun != noun]
                rows["colours"] += _colours(
                    {"original": original, **pictures}, pair.row, swap.adjective, others
                )
            example = example or [
                (f"{sentence[adjective].text} {sentence[noun].text}", original),
                (f"map of {sentence[adjective].text!r}", maps[adjective].resize()),
                (f"map of {sentence[noun].text!r}", maps[noun].resize()),
                (f"{swap.adjective}, layout fixed", fixed),
                (f"{swap.adjective}, drawn freely", free),
            ]
    return example


def modified_nouns(sentence: Sentence) -> list[tuple[int, int]]:
    """Return the indices of each adjective and its noun, in order: dependents by the relation amod."""
    return sorted(
        (edge.dependent, edge.head)
        for edge in sentence.edges_of("native")
        if edge.relation == "amod"
    )


def _masks(
    maps: HeatMaps, pair: tuple[int, int], threshold: str, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of a pair's noun, and that of other nouns with adjectives outside it, shape `size`."""
    own = maps[pair[1]].mask(threshold, size)
    others = {
        noun for _, noun in modified_nouns(maps.sentence) if noun != pair[1] and noun in maps.mapped
    }
    other = np.zeros_like(own)
    for noun in others:
        other |= maps[noun].mask(threshold, size)
    return own, other & ~own


def _breadth(
    maps: HeatMaps, row: Mapping[str, Any], adjective: int, noun: int
) -> list[dict[str, Any]]:
    areas = effective_area(maps.stack([adjective, noun]))
    return [
        {**row, "role": role, "effective_area": float(area)}
        for role, area in zip(("adjective", "noun"), areas, strict=True)
    ]


def _where_it_lies(values: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Return the shares of an adjective's attention in both masks, beside what a flat map would give."""
    on_own, on_other = leakage(values[None], np.stack([own, other]))[0]
    areas = [float(mask.mean()) if mask.any() else float("nan") for mask in (own, other)]
    return {
        "on_noun": float(on_own),
        "noun_area": areas[0],
        "outside_noun": 1 - float(on_own),
        "on_other_noun": float(on_other),
        "other_noun_area": areas[1],
        "excess_on_noun": float(on_own) - areas[0],
        "excess_on_other_noun": float(on_other) - areas[1],
    }


def _colours(
    pictures: Mapping[str, np.ndarray], row: Mapping[str, Any], new: str, others: list[str]
) -> list[dict[str, Any]]:
    """Return which share of the pixels of the noun and of the other nouns have the old and the new colour."""
    from daam_syntax.emoji.annotator import COLOUR_CLASSES, MIN_AREA, Annotator
    from daam_syntax.emoji.vocabulary import NOUNS

    annotations = Annotator.load()(
        [Image.fromarray((picture * 255).round().astype(np.uint8)) for picture in pictures.values()]
    )
    rows = []
    for condition, seen in zip(pictures, annotations, strict=True):
        for role, nouns in (("noun", [row["noun"]]), ("other noun", others)):
            known = [noun for noun in nouns if noun in NOUNS]
            mask = np.any([seen.mask(noun) for noun in known], axis=0) & (seen.nouns > 0)
            found = mask.sum() >= MIN_AREA
            shares = {
                name: float((seen.colours[mask] == COLOUR_CLASSES.index(colour)).mean())
                if found and colour in COLOUR_CLASSES
                else float("nan")
                for name, colour in (("old_colour", row["adjective"]), ("new_colour", new))
            }
            reason = "" if found else "the annotator does not see it"
            rows.append({**row, "condition": condition, "role": role, **shares, "reason": reason})
    return rows
