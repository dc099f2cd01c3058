"""What one word changes: two prompts that differ in it, drawn from the same noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention import trace
from daam_syntax.drawing import DrawingSettings
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.maps.measures import jensen_shannon, mask_iou
from daam_syntax.studies.common import (
    draw,
    estimates_table,
    finding,
    image_row,
    parse_prompts,
    progress_bar,
    provenance,
)
from daam_syntax.studies.plots import draw_estimates, draw_pictures
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Minimal pairs: one word exchanged, from the same noise"
QUESTION: Final = (
    "How far do the maps of the words, and the picture, move when one word of the prompt is exchanged, compared with "
    "the same prompt drawn from other noise?"
)
PROMPTS: Final = (
    *("a red cat and a blue car", "a red dog and a blue car"),
    *("a small owl on a green bed", "a small owl on a pink bed"),
    *("a dog chasing a yellow duck", "a dog chasing a yellow mouse"),
    *("a pink house next to a tree", "a pink house next to a cactus"),
    *("a penguin in the snow", "a duck in the snow"),
    *("a big elephant in a field", "a tiny elephant in a field"),
    *("a purple hat on a chair", "a purple shoe on a chair"),
    *("a robot above a horse", "a robot below a horse"),
)
"""The first with the second, the third with the fourth, and so on."""

CONDITIONS: Final = ("other word", "other noise")
ROLES: Final = ("exchanged word", "its head or dependent", "another word")


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 2,
    steps: int | None = 12,
    guidance: float | None = None,
    threshold: str = "relative:0.4",
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Draw pairs of prompts that differ in one word, and compare pictures and the maps of aligned words.

    Three pictures are drawn for each pair and seed: the first prompt; the second prompt from the same noise (*other
    word*); and the first prompt from other noise (*other noise*, the control). The latter two are each compared with
    the first. A map moves by the Jensen-Shannon divergence of the two maps at unit mass (bits, 0 to 1); a picture by
    the mean absolute difference of its values (0 to 1).

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        The first with the second, the third with the fourth, and so on; None for `PROMPTS`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    threshold
        Rule that makes masks for ``mask_iou``.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "words", one row per pair, seed, condition and word; "pictures". ``prompt_id`` is that
        of the pair's first prompt.

    Raises
    ------
    StudyError
        If two prompts do not differ in exactly one word, or one is left over.
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    pairs = pair_up(sentences)
    rule = parse_threshold(threshold)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    words: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    example: list[tuple[str, np.ndarray]] = []
    with progress_bar(progress, len(pairs) * seeds) as advance:
        for pair in pairs:
            for seed in range(seeds):
                base = _draw(pipe, pair.first, seed, settings, pair.first)
                others = {
                    "other word": _draw(pipe, pair.second, seed, settings, pair.first),
                    "other noise": _draw(pipe, pair.first, seed + seeds, settings, pair.first),
                }
                for condition, other in others.items():
                    row = image_row(pair.first, seed) | {"condition": condition}
                    row |= {"exchanged": pair.exchanged}
                    change = float(np.abs(other.picture - base.picture).mean())
                    pictures.append(row | {"change": change})
                    words += [row | moved for moved in _moved(pair, base.maps, other.maps, rule)]
                example = example or [
                    (pair.first.text, base.picture),
                    *((name, other.picture) for name, other in others.items()),
                ]
                advance()
    word_table, picture_table = pd.DataFrame(words), pd.DataFrame(pictures)
    found = _estimates(word_table, picture_table)
    estimates = estimates_table(found)
    of_maps = estimates["measure"] == "divergence"
    return StudyResult(
        "minimal-pairs",
        TITLE,
        QUESTION,
        tuple(finding(estimate, digits=4) for estimate in found),
        {"estimates": estimates, "words": word_table, "pictures": picture_table},
        {
            "maps": draw_estimates(estimates[of_maps], unit="Jensen-Shannon divergence (bits)"),
            "pictures": draw_estimates(estimates[~of_maps], unit="change of the picture (0 to 1)"),
            "example": draw_pictures(
                [("original", example[0][1]), *example[1:]],
                title=f"{example[0][0]}: {pairs[0].exchanged}",
            ),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(pipe, settings, seeds, sentences, threshold=str(rule)),
    )


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in the token `place`."""

    first: Sentence
    second: Sentence
    place: int

    @property
    def exchanged(self) -> str:
        """The two words."""
        return f"{self.first[self.place].text} / {self.second[self.place].text}"

    def role(self, index: int) -> str:
        """Say what a token is to the exchanged one, see `ROLES`."""
        if index == self.place:
            return ROLES[0]
        edges = [edge for edges in self.first.edges.values() for edge in edges]
        joined = any({edge.head, edge.dependent} == {index, self.place} for edge in edges)
        return ROLES[1] if joined else ROLES[2]


def pair_up(sentences: Sequence[Sentence]) -> list[MinimalPair]:
    """Return the first sentence with the second, the third with the fourth, and so on.

    Raises
    ------
    StudyError
        If two do not differ in exactly one word, or one is left over.
    """
    if len(sentences) % 2:
        raise StudyError(
            f"Expected pairs of prompts, one after the other, but got {len(sentences)} prompts; "
            f"{sentences[-1].text!r} is left over."
        )
    pairs = []
    for first, second in zip(sentences[::2], sentences[1::2], strict=True):
        differ = [
            a.index for a, b in zip(first.tokens, second.tokens, strict=False) if a.text != b.text
        ]
        if len(first) != len(second) or len(differ) != 1:
            raise StudyError(
                f"Expected two prompts that differ in one word, but got {first.text!r} and {second.text!r}."
            )
        pairs.append(MinimalPair(first, second, differ[0]))
    return pairs


@dataclass(frozen=True)
class _Drawn:
    picture: np.ndarray
    maps: HeatMaps


def _draw(
    pipe: Any, sentence: Sentence, seed: int, settings: DrawingSettings, noise_of: Sentence
) -> _Drawn:
    with trace(pipe) as recording:
        (picture,) = draw(pipe, sentence.text, seed, settings, noise_of=noise_of.text)
    (maps,) = recording.heat_maps(sentences=sentence)
    return _Drawn(picture, maps)


def _moved(pair: MinimalPair, base: HeatMaps, other: HeatMaps, rule: Any) -> list[dict[str, Any]]:
    """Return how far the map of every word moved; a word without a map is a row with the reason."""
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
            row["reason"] = "the word has no map in one of the pictures"
        rows.append(row)
    return rows


def _estimates(words: pd.DataFrame, pictures: pd.DataFrame) -> list[Estimate]:
    exchanged, control = (pictures[pictures["condition"] == name] for name in CONDITIONS)
    found = [
        estimate_mean(exchanged, "change", label="picture, other word"),
        estimate_mean(control, "change", label="picture, other noise"),
        estimate_difference(exchanged, control, "change", label="picture, word minus noise"),
    ]
    for role in ROLES:
        of_role = words[words["role"] == role]
        exchanged, control = (of_role[of_role["condition"] == name] for name in CONDITIONS)
        found += [
            estimate_mean(exchanged, "divergence", label=f"map of {role}, other word"),
            estimate_mean(control, "divergence", label=f"map of {role}, other noise"),
            estimate_difference(
                exchanged, control, "divergence", label=f"map of {role}, word minus noise"
            ),
        ]
    return found
