"""Do adjectives stay with their noun? After Tang et al. (2023), section 5.2, with the layout held fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from PIL import Image

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention import record_attention, reuse_attention, trace
from daam_syntax.drawing import DrawingSettings
from daam_syntax.language import Sentence
from daam_syntax.loading import is_emoji
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.binding import leakage
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.maps.selection import StepSelection
from daam_syntax.studies.common import (
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

TITLE: Final = "Adjectives and their nouns"
QUESTION: Final = (
    "Does an adjective attend more broadly than its noun, does its attention leak to the other noun, and what changes "
    "in the picture when only the adjective is swapped: its noun, or everything?"
)
PROMPTS: Final = (
    "a red car and a blue house",
    "a yellow duck and a purple hat",
    "a green chair and a pink cat",
    "a blue dog and a red apple",
    "a white horse and a black sheep",
    "a pink whale and a yellow crab",
    "a yellow robot and a green tree",
    "a purple guitar and a white owl",
)
SWAPS: Final = ("red", "blue", "green", "yellow", "purple", "pink", "orange", "black", "white")
"""Adjectives that are swapped, each for the next one that the prompt does not have."""


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 1,
    steps: int | None = 10,
    guidance: float | None = None,
    threshold: str = "relative:0.4",
    swaps: tuple[str, ...] = SWAPS,
    cross_steps: StepSelection = slice(0, 0.8),
    self_steps: StepSelection = slice(0, 0.4),
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Measure the maps of adjectives and nouns, swap adjectives, and measure where the picture changes.

    An adjective is the dependent of a noun by the relation amod. Its noun's mask is where the noun's map, in the first
    picture, lies above the threshold; the other noun's mask is that of any other noun with an adjective, without
    the pixels of the first.

    Parameters
    ----------
    pipe
        A pipeline with cross-attention (see `reuse_attention`).
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    threshold
        Rule that makes a mask of a map.
    swaps
        The adjectives that are swapped for one another. Others are measured but not swapped.
    cross_steps, self_steps
        In which steps the first picture's attention is re-used, see `reuse_attention`.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "words", the breadth of adjectives and nouns; "maps", where adjectives' attention lies;
        "swaps", the change of the picture; and, for the embedded model, "colours", what the annotator sees.
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in ("words", "maps", "swaps", "colours")}
    example: list[tuple[str, np.ndarray]] = []
    with progress_bar(progress, len(sentences) * seeds) as advance:
        for sentence in sentences:
            for seed in range(seeds):
                with trace(pipe) as recording, record_attention(pipe) as recorded:
                    original = draw(pipe, sentence.text, seed, settings)[0]
                (maps,) = recording.heat_maps(sentences=sentence)
                row = image_row(sentence, seed)
                masks = {
                    pair: _masks(maps, pair, threshold, original.shape[:2])
                    for pair in modified_nouns(sentence)
                    if set(pair) <= set(maps.mapped)
                }
                for (adjective, noun), (own, other) in masks.items():
                    named = row | {
                        "adjective_index": adjective,
                        "adjective": sentence[adjective].text,
                        "noun": sentence[noun].text,
                    }
                    rows["words"] += _breadth(maps, named, adjective, noun)
                    rows["maps"].append(
                        named | _where_it_lies(maps[adjective].resize(own.shape), own, other)
                    )
                    swap = swapped(sentence, adjective, swaps)
                    if swap is None:
                        continue
                    free = draw(pipe, swap.prompt, seed, settings, noise_of=sentence.text)[0]
                    with reuse_attention(
                        pipe,
                        recorded,
                        cross_steps=cross_steps,
                        self_steps=self_steps,
                        parser=parser,
                        sentences=sentence,
                    ):
                        fixed = draw(pipe, swap.prompt, seed, settings, noise_of=sentence.text)[0]
                    pictures = {"new layout": free, "layout held fixed": fixed}
                    for condition, picture in pictures.items():
                        change = np.abs(picture - original).mean(axis=-1)
                        rows["swaps"].append(
                            named
                            | {"swapped_for": swap.adjective, "condition": condition}
                            | inside_and_outside(change, own)
                        )
                    if is_emoji(pipe):
                        others = [sentence[n].text for _, n in masks if n != noun]
                        rows["colours"] += _colours(
                            {"original": original, **pictures}, named, swap.adjective, others
                        )
                    example = example or [
                        (f"{sentence[adjective].text} {sentence[noun].text}", original),
                        (f"map of {sentence[adjective].text!r}", maps[adjective].resize()),
                        (f"map of {sentence[noun].text!r}", maps[noun].resize()),
                        (f"{swap.adjective}, fixed", fixed),
                        (f"{swap.adjective}, free", free),
                    ]
                advance()
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    require_rows(rows["maps"], "a noun with an adjective")
    estimates = _estimates(tables)
    shown = estimates_table(estimates)
    figures = {"estimates": draw_estimates(shown, unit="see the labels (all are shares, 0 to 1)")}
    if example:
        figures["example"] = draw_pictures(example, title=tables["maps"]["prompt"].iloc[0])
    return StudyResult(
        "adjectives",
        TITLE,
        QUESTION,
        tuple(finding(estimate) for estimate in estimates),
        {"estimates": shown, **tables},
        figures,
        tuple(sentence.text for sentence in sentences),
        provenance(
            pipe,
            settings,
            seeds,
            sentences,
            threshold=threshold,
            swaps=list(swaps),
            cross_steps=str(cross_steps),
            self_steps=str(self_steps),
        ),
    )


def modified_nouns(sentence: Sentence) -> list[tuple[int, int]]:
    """Return the indices of each adjective and its noun, in order: dependents by the relation amod."""
    return sorted(
        (edge.dependent, edge.head)
        for edge in sentence.edges_of("native")
        if edge.relation == "amod"
    )


@dataclass(frozen=True)
class Swap:
    """A prompt in which one adjective was swapped for another."""

    prompt: str
    adjective: str


def swapped(sentence: Sentence, adjective: int, swaps: tuple[str, ...]) -> Swap | None:
    """Swap an adjective for the next of a list that the prompt does not have, and fit the article before it.

    Parameters
    ----------
    sentence
        The prompt.
    adjective
        Index of the adjective.
    swaps
        The list; after the last comes the first.

    Returns
    -------
    Swap or None
        None if the adjective is not in the list, or all others are in the prompt.
    """
    token = sentence[adjective]
    old = token.text.lower()
    if old not in swaps:
        return None
    there = {word.lower() for word in sentence.words}
    place = swaps.index(old)
    new = next((each for each in swaps[place:] + swaps[:place] if each not in there), None)
    if new is None:
        return None
    before = sentence.text[: token.start]
    article = sentence[adjective - 1] if adjective else None
    if article is not None and article.text.lower() in ("a", "an"):
        fitting = article.text[0] + ("n" if new[0] in "aeiou" else "")
        before = before[: article.start] + fitting + before[article.end :]
    return Swap(before + new + sentence.text[token.end :], new)


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


def _estimates(tables: Mapping[str, pd.DataFrame]) -> list[Estimate]:
    words, maps = tables["words"], tables["maps"]
    found = [
        estimate_difference(
            words[words["role"] == "adjective"],
            words[words["role"] == "noun"],
            "effective_area",
            label="effective area, adjective minus noun",
        ),
        estimate_mean(maps, "outside_noun", label="adjective's attention outside its noun's mask"),
        estimate_mean(
            maps, "excess_on_noun", label="adjective's attention on its noun, minus the mask's area"
        ),
        estimate_mean(
            maps,
            "excess_on_other_noun",
            label="adjective's attention on the other noun, minus the mask's area",
        ),
    ]
    if "swaps" in tables:
        conditions = dict(iter(tables["swaps"].groupby("condition")))
        fixed, free = conditions["layout held fixed"], conditions["new layout"]
        found += [
            estimate_mean(
                fixed, "inside", label="swap, layout fixed: change inside the noun's mask"
            ),
            estimate_mean(fixed, "outside", label="swap, layout fixed: change outside it"),
            estimate_mean(fixed, "difference", label="swap, layout fixed: inside minus outside"),
            estimate_difference(
                free, fixed, "outside", label="change outside, new layout minus fixed"
            ),
        ]
    if "colours" in tables:
        colours = tables["colours"]

        def seen(condition: str, role: str) -> pd.DataFrame:
            return colours[(colours["condition"] == condition) & (colours["role"] == role)]

        held = "layout held fixed"
        found += [
            estimate_mean(
                seen("original", "noun"), "old_colour", label="noun's pixels in its own colour"
            ),
            estimate_mean(
                seen("original", "other noun"),
                "old_colour",
                label="other noun's pixels in the adjective's colour (leakage)",
            ),
            estimate_difference(
                seen(held, "noun"),
                seen("original", "noun"),
                "new_colour",
                label="swap, layout fixed: noun's pixels in the new colour, gain",
            ),
            estimate_difference(
                seen(held, "other noun"),
                seen("original", "other noun"),
                "new_colour",
                label="swap, layout fixed: other noun's pixels in the new colour, gain",
            ),
        ]
    return found
