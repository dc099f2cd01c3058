"""Sanity checks: do the maps depend on weights, words, and noise, and only on those? See `DESIGN`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import Estimate, estimate_mean
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.comparisons import correlation
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, means_and_difference
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.rewriting import swap_phrases, with_nonce
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.special_tokens import (
    NAMES,
    draw_without_each,
    kind_findings,
    kind_maps,
    kind_rows,
)
from daam_syntax.studies.framework.table_rows import image_row, require_rows
from daam_syntax.studies.framework.word_classes import content_words
from daam_syntax.studies.sanity.randomizing import randomized
from daam_syntax.studies.sanity.reliability import reliability_note, split_half

NONCE: Final = "blicket"

DESIGN: Final = StudyDesign(
    name="sanity",
    title="Sanity checks of the maps",
    question="Do the maps break down when the attention weights are randomized, follow words rather than positions "
    "when noun phrases are exchanged, distinguish a nonce word from a noun, and agree between seeds? Do non-word "
    "tokens, especially padding, contribute to the image?",
    method="All images of a prompt and seed start from the same noise, and maps are compared by Pearson's correlation "
    "over pixels. The map of each content word is compared with its map after the entries of the query and key "
    "projections of all text attention layers have been shuffled within each matrix (randomized; after Adebayo et al. "
    "2018), with its map from another seed, and with the maps of the other content words of the same image. The first "
    "two noun phrases are then exchanged, and the maps of their nouns are compared with the original maps of the same "
    "noun and of the noun in the same position. The last noun is replaced by a nonce word. Finally, each "
    "image is drawn again without the attention to each kind of token.",
    limits="Maps that pass these checks depend on weights, words and noise as they should, which does not show that "
    "they are right about what a word does (see the study intervention). The randomized model draws another image, or "
    "none, so its maps differ for two reasons. A nonce word has subwords that occur in other words, and its position "
    "in the sentence suggests a noun.",
    prompts="adjectives",
    seeds=2,
    steps=10,
    figures={
        "example": "Maps of the last content word of the first prompt: the original map, the map with randomized "
        "attention, and the map of the nonce word in its place. Each has its own color scale.",
        "kinds": "Attention of the pixels of the first image to each kind of token, summed over its tokens. Each map "
        "has its own color scale, and its mean is given below the name.",
        "deleted": "The same image, and the image drawn without attention to each kind of token.",
    },
    tables={
        "reliability": "Agreement of the words' effective areas between even and odd seeds.",
        "correlations": "Correlations of maps by image, word and comparison.",
        "areas": "Effective areas of nouns and of the nonce words in their place.",
        "words": "Effective area of each content word in each image.",
        "kinds": "Share of the attention, its place, and the change of the image if it is deleted, by kind of token.",
    },
)

_TABLES: Final = ("correlations", "areas", "words", "kinds")
SAME_WORD: Final = "same word, phrases swapped"
SAME_PLACE: Final = "same position, phrases swapped"


def run(setup: Setup, *, threshold: str = "relative:0.4", nonce: str = NONCE) -> StudyResult:
    """Compare maps with those of a randomized model, of changed prompts, and of other seeds.

    Parameters
    ----------
    setup
        A setup whose pipeline has attention with projections ``to_q`` and ``to_k``. Agreement between seeds needs at
        least two seeds.
    threshold
        Threshold rule for the masks of nouns.
    nonce
        Nonce word that replaces the last noun.
    """
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in _TABLES}
    examples: dict[str, tuple[list[tuple[str, np.ndarray]], str]] = {}
    earlier: dict[str, HeatMaps] = {}
    for sentence, seed in setup.images_of(setup.sentences):
        row = image_row(sentence, seed)
        image, maps = setup.trace(sentence, seed, padding=True)
        with randomized(setup.pipe, seed):
            _, shuffled = setup.trace(sentence, seed)
        words = [word for word in content_words(sentence) if word in maps.mapped]
        others = {"randomized": shuffled}
        if sentence.text in earlier:
            others["another seed"] = earlier[sentence.text]
        earlier[sentence.text] = maps
        for word in words:
            named = row | {"word_index": word, "word": sentence[word].text}
            area = float(effective_area(maps[word].values))
            rows["words"].append(named | {"effective_area": area})
            rows["correlations"] += _compare(maps, word, others, words, named)
        turned = swap_phrases(sentence, setup.parser)
        if turned is not None:
            swapped, pairs = turned
            _, again = setup.trace(swapped, seed, noise_of=sentence.text)
            rows["correlations"] += _compare_orders(maps, again, pairs, row)
        replaced = with_nonce(sentence, nonce, setup.parser)
        if replaced is not None:
            changed, old, new = replaced
            _, unknown = setup.trace(changed, seed, noise_of=sentence.text)
            rows["areas"] += [
                row
                | {
                    "role": role,
                    "word": text,
                    "head_subwords": len(of.words[word].subwords),
                    "effective_area": float(effective_area(of[word].values)),
                }
                for role, text, of, word in (
                    ("noun", sentence[old].text, maps, old),
                    ("nonce word", nonce, unknown, new),
                )
            ]
        deleted = draw_without_each(setup, sentence, seed, list(kind_maps(maps)))
        rows["kinds"] += [row | each for each in kind_rows(maps, image, deleted, threshold)]
        examples = examples or _example_of_kinds(maps, image, deleted)
        if words and "example" not in examples:
            word = words[-1]
            shown = [
                (repr(sentence[word].text), maps[word].resize()),
                ("randomized", shuffled[word].resize()),
            ]
            if replaced is not None:
                shown.append((repr(nonce), unknown[new].resize()))
            examples["example"] = shown, sentence.text
    require_rows(rows["words"], "a content word")
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    reliability = split_half(tables["words"])
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(tables, reliability),
        {"reliability": pd.DataFrame([reliability]), **tables},
        {name: draw_images(*examples[name]) for name in DESIGN.figures if name in examples},
        threshold=threshold,
        nonce=nonce,
    )


def _example_of_kinds(
    maps: HeatMaps, image: np.ndarray, deleted: Mapping[str, np.ndarray]
) -> dict[str, tuple[list[tuple[str, np.ndarray]], str]]:
    shown = [
        (f"{NAMES[kind]}\n{values.mean():.3f}", values) for kind, values in kind_maps(maps).items()
    ]
    without = [(f"without {NAMES[kind]}", drawn) for kind, drawn in deleted.items()]
    deletions = [("original", image), *without]
    return {"kinds": (shown, maps.prompt), "deleted": (deletions, maps.prompt)}


def _compare(
    maps: HeatMaps,
    word: int,
    others: Mapping[str, HeatMaps],
    words: list[int],
    row: dict[str, Any],
) -> list[dict[str, Any]]:
    """Compare the map of a word with its other maps, and with the maps of the other words of the image."""
    pairs = [(name, other[word]) for name, other in others.items()]
    pairs += [("another word", maps[other]) for other in words if other != word]
    return [
        row | {"comparison": name, "correlation": correlation(maps[word].values, other.values)}
        for name, other in pairs
    ]


def _compare_orders(
    maps: HeatMaps, again: HeatMaps, pairs: list[tuple[int, int]], row: dict[str, Any]
) -> list[dict[str, Any]]:
    """Compare the nouns' maps after the exchange with the original maps of the same noun and of the same position."""
    found = []
    (first, _), (second, _) = pairs
    for (old, new), same_position in zip(pairs, (second, first), strict=True):
        for comparison, other in ((SAME_WORD, old), (SAME_PLACE, same_position)):
            value = correlation(again[new].values, maps[other].values)
            found.append(
                row
                | {"word_index": old, "word": maps.sentence[old].text}
                | {"comparison": comparison, "correlation": value}
            )
    return found


def make_findings(tables: dict[str, pd.DataFrame], reliability: dict[str, Any]) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    tables
        The tables "correlations", "areas", if there are any, and "kinds".
    reliability
        See `daam_syntax.studies.sanity.reliability.split_half`.
    """
    of = dict(iter(tables["correlations"].groupby("comparison")))
    unit = "correlation of maps over pixels (−1 to 1)"
    labels = {
        "another seed": "same word, another seed",
        "another word": "another word of the same image",
        "randomized": "same word, randomized attention",
    }
    findings = [
        Finding(
            "Do the maps depend on word, noise and weights?",
            unit,
            tuple(
                estimate_mean(of[name], "correlation", label=label, bounds=(-1, 1))
                for name, label in labels.items()
                if name in of
            ),
            notes=(reliability_note(reliability),),
        )
    ]
    if SAME_WORD in of:
        findings.append(
            Finding(
                "Do the maps follow words or positions?",
                unit,
                _of_order(of[SAME_WORD], of[SAME_PLACE]),
            )
        )
    if "areas" in tables:
        findings.append(_of_nonce(tables["areas"]))
    return findings + kind_findings(tables["kinds"])


def _of_order(word: pd.DataFrame, place: pd.DataFrame) -> tuple[Estimate, ...]:
    same = "noun phrases exchanged: same"
    labels = (f"{same} word", f"{same} position", f"{same} word minus same position")
    return means_and_difference(word, place, "correlation", labels, (-1, 1))


def _of_nonce(areas: pd.DataFrame) -> Finding:
    nonce, noun = (areas[areas["role"] == role] for role in ("nonce word", "noun"))
    labels = ("nonce word in its place", "noun", "nonce word minus noun")
    of_nonce, of_noun, difference = means_and_difference(
        nonce, noun, "effective_area", labels, SHARE
    )
    if "subwords" in difference.imbalances:
        label = "nonce word minus noun (word plus number of subwords)"
        difference = replace(difference, label=label)
    return Finding(
        "Is the map of a nonce word broader?",
        "effective area (share of the image)",
        (of_noun, of_nonce, difference),
    )
