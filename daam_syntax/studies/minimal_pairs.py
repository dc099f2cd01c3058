"""What does one word change? Two prompts that differ in one word are drawn from the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import Estimate
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.maps.measures import jensen_shannon, mask_iou
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, means_and_difference
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row

DESIGN: Final = StudyDesign(
    name="minimal-pairs",
    title="Minimal pairs: one word exchanged, from the same noise",
    question="How much do the image and the maps of the words change if one word of the prompt is exchanged, compared "
    "with drawing the same prompt from other noise?",
    method="Prompts come in pairs that differ in one word. Three images are drawn for each pair and seed: the first "
    "prompt; the second prompt from the same noise (other word); and the first prompt from other noise (other noise, "
    "the control). The second and the third image are each compared with the first. The change of a map is the "
    "Jensen-Shannon divergence of the two maps at unit mass (bits, 0 to 1), comparing words in the same position; the "
    "change of an image is the mean absolute difference of its values (0 to 1). The unit of inference is the pair of "
    "prompts, which n counts as one prompt.",
    limits="The change with other noise shows how much the model's images of one prompt vary; it is a yardstick, not a "
    "null hypothesis. Words differ in what they change: the result holds for these pairs, not for exchanging words in "
    "general.",
    prompts="minimal-pairs",
    in_pairs=True,
    seeds=2,
    steps=12,
    figures={
        "example": "The first pair: the first prompt, the second from the same noise, and the first from other noise.",
    },
    tables={
        "words": "Change of the map of each word by pair, seed and condition; a word without a map has a reason.",
        "images": "Change of the image by pair, seed and condition.",
    },
)
CONDITIONS: Final = ("other word", "other noise")
ROLES: Final = ("exchanged word", "its head or dependent", "another word")


def run(setup: Setup, *, threshold: str = "relative:0.4") -> StudyResult:
    """Draw pairs of prompts that differ in one word, and compare the images and the maps of aligned words.

    Parameters
    ----------
    setup
        The setup; it pairs the first prompt with the second, the third with the fourth, and so on.
    threshold
        Threshold rule for masks, used for mask_iou.

    Raises
    ------
    StudyError
        If two prompts do not differ in exactly one word, or if one prompt is left over.
    """
    pairs = pair_up(setup.sentences)
    rule = parse_threshold(threshold)
    words: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    for pair, seed in setup.images_of(pairs):
        noise_of = pair.first.text
        base, maps = setup.trace(pair.first, seed)
        others = {
            "other word": setup.trace(pair.second, seed, noise_of=noise_of),
            "other noise": setup.trace(pair.first, seed + setup.seeds),
        }
        for condition, (image, other_maps) in others.items():
            row = image_row(pair.first, seed) | {"condition": condition}
            row |= {"exchanged": pair.exchanged}
            images.append(row | {"change": float(np.abs(image - base).mean())})
            words += [row | changed for changed in _map_changes(pair, maps, other_maps, rule)]
        example = example or [
            ("original", base),
            *((name, image) for name, (image, _) in others.items()),
        ]
    word_table, image_table = pd.DataFrame(words), pd.DataFrame(images)
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(image_table, word_table),
        {"words": word_table, "images": image_table},
        {"example": draw_images(example, title=f"{pairs[0].first.text}: {pairs[0].exchanged}")},
        threshold=str(rule),
    )


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in the token `place`."""

    first: Sentence
    second: Sentence
    place: int

    @property
    def exchanged(self) -> str:
        """The two words that differ."""
        return f"{self.first[self.place].text} / {self.second[self.place].text}"

    def role(self, index: int) -> str:
        """Return how a token relates to the exchanged word, one of `ROLES`."""
        if index == self.place:
            return ROLES[0]
        edges = [edge for edges in self.first.edges.values() for edge in edges]
        joined = any({edge.head, edge.dependent} == {index, self.place} for edge in edges)
        return ROLES[1] if joined else ROLES[2]


def pair_up(sentences: Sequence[Sentence]) -> list[MinimalPair]:
    """Pair the first sentence with the second, the third with the fourth, and so on.

    Raises
    ------
    StudyError
        If the two sentences of a pair do not differ in exactly one word, or if a sentence is left over.
    """
    if len(sentences) % 2:
        raise StudyError(
            f"Expected pairs of prompts, one after the other, but got {len(sentences)} prompts: "
            f"{sentences[-1].text!r} is left over; add its partner or leave it out."
        )
    pairs = []
    for first, second in zip(sentences[::2], sentences[1::2], strict=True):
        differ = [
            a.index
            for a, b in zip(first.tokens, second.tokens, strict=False)
            # An article merely agrees with the next word.
            if a.text != b.text and not {a.text.lower(), b.text.lower()} <= {"a", "an"}
        ]
        if len(first) != len(second) or len(differ) != 1:
            raise StudyError(
                f"Expected two prompts that differ in one word, but got {first.text!r} and {second.text!r}: correct "
                "the pair."
            )
        pairs.append(MinimalPair(first, second, differ[0]))
    return pairs


def _map_changes(
    pair: MinimalPair, base: HeatMaps, other: HeatMaps, rule: Any
) -> list[dict[str, Any]]:
    """Return the change of the map of every word; a word without a map is a row with a reason."""
    rows = []
    for token in base.sentence.tokens:
        row = {
            "index": token.index,
            "word": token.text,
            "other_word": other.sentence[token.index].text,
            "pos": token.pos,
            "role": pair.role(token.index),
            "divergence": float("nan"),
            "mask_iou": float("nan"),
            "reason": "",
        }
        if token.index in base.mapped and token.index in other.mapped:
            one, two = base[token.index], other[token.index]
            row["divergence"] = float(jensen_shannon(one.values, two.values))
            row["mask_iou"] = float(mask_iou(one.mask(rule), two.mask(rule)))
        else:
            row["reason"] = "the word lacks a map in one of the images"
        rows.append(row)
    return rows


def make_findings(images: pd.DataFrame, words: pd.DataFrame) -> list[Finding]:
    """Return the findings: how images and maps change with another word, and with other noise."""
    return [_of_images(images), *_of_words(words)]


def _of_images(images: pd.DataFrame) -> Finding:
    return Finding("The image", "change of the image (0 to 1)", _changes(images, "change", "image"))


def _of_words(words: pd.DataFrame) -> list[Finding]:
    unit = "Jensen-Shannon divergence of the map (bits, 0 to 1)"
    return [
        Finding(f"Maps: {role}", unit, _changes(rows, "divergence", "map"), digits=4)
        for role in ROLES
        if len(rows := words[words["role"] == role])
    ]


def _changes(rows: pd.DataFrame, measure: str, what: str) -> tuple[Estimate, ...]:
    """Estimate the change in both conditions, and the difference between the conditions."""
    exchanged, control = (rows[rows["condition"] == name] for name in CONDITIONS)
    labels = (f"{what}, other word", f"{what}, other noise", f"{what}, word minus noise")
    return means_and_difference(exchanged, control, measure, labels, SHARE)
