"""Coverage and diversity: which pictures a prompt gives over its seeds, and how evenly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import entropy

from daam_syntax.analysis import estimate_mean
from daam_syntax.drawing.traced_images import TracedImage
from daam_syntax.emoji.annotator import COLOUR_CLASSES, NOUN_CLASSES, Annotation, Annotator
from daam_syntax.errors import StudyError
from daam_syntax.pipelines.loading import is_emoji
from daam_syntax.studies.framework.common import SHARE, content_words, image_row
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.plots import draw_pictures
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup

GRID: Final = 3
"""Places are told apart as this many rows and columns of the picture."""

DESIGN: Final = StudyDesign(
    name="modes",
    title="Modes: what a prompt leaves open, and what the model makes of it",
    question="Over the seeds of a prompt, which nouns, colours and places occur, how evenly, and are the pictures more "
    "alike than those of different prompts?",
    method="Each prompt is drawn from many seeds. Noun and colour are those of the largest object that the annotator "
    "sees (pictures of the embedded model only); the place is the cell of a 3 x 3 grid in which the map of the "
    "prompt's first noun has its largest value. Evenness is the entropy of the outcomes over that of equally frequent "
    "ones: 0 for a prompt that has collapsed to one outcome, 1 where all possible outcomes are equally frequent. "
    "Coverage is the estimated probability that a further picture shows an outcome that was seen already (Good 1953): "
    "near 1, more seeds would show little new. The difference of pictures is the mean absolute difference (0 to 1) of "
    "two pictures of the prompt, divided by that of two pictures of different prompts: 0 for a prompt that gives one "
    "picture only, about 1 where the prompt makes no difference.",
    limits="Evenness compares with all outcomes that the annotator knows, most of which a prompt excludes: compare "
    "prompts with each other, and do not expect 1. An even model is not a right one: nothing here says which outcomes "
    "the prompt should have. Entropies from few seeds are uncertain, and the correction for that is approximate.",
    prompts="open",
    seeds=12,
    steps=12,
    figures={"example": "Pictures of the first prompt."},
    tables={
        "diversity": "Evenness, coverage and entropy (bits) by prompt and aspect.",
        "occurrences": "How often each outcome occurred.",
        "pictures": "Differences of pictures within and between prompts.",
        "images": "What was seen in each picture.",
    },
)

_OUTCOMES: Final = {
    "noun": len(NOUN_CLASSES),  # the nouns, and none
    "colour": len(COLOUR_CLASSES),  # the colours, the sprite's own among them, and none
    "place": GRID**2,
}


def run(setup: Setup) -> StudyResult:
    """Draw each prompt from many seeds, and say how its pictures vary.

    Parameters
    ----------
    setup
        With two seeds at least; diversity cannot be told from few.

    Raises
    ------
    StudyError
        If there are fewer than two seeds.
    """
    if setup.seeds < 2:
        raise StudyError(
            f"Expected at least two seeds, for pictures to differ, but got {setup.seeds}."
        )
    drawings = list(setup.drawings())
    is_known = is_emoji(setup.pipe)
    annotations = Annotator.load()([each.image for each in drawings]) if is_known else None
    images = pd.DataFrame(
        [
            image_row(drawing.maps.sentence, drawing.seed)
            | {"place": _place(drawing)}
            | (_largest(annotations[number]) if annotations else {})
            for number, drawing in enumerate(drawings)
        ]
    )
    aspects = [name for name in _OUTCOMES if name in images.columns]
    table = _diversity_table(images, aspects)
    pixels = np.stack([np.asarray(each.image, dtype=np.float64) / 255 for each in drawings])
    distances = picture_distances(pixels, images["prompt"].to_list())
    answers = [
        # Rows of these tables are prompts: the images behind them are counted here.
        replace(a, estimates=tuple(replace(e, n_images=len(images)) for e in a.estimates))
        for a in _answers(table, distances, aspects)
    ]
    shown = [(f"seed {number}", pixels[number]) for number in range(min(setup.seeds, 6))]
    return StudyResult.of(
        DESIGN,
        setup,
        answers,
        {
            "diversity": table,
            "occurrences": _occurrences(images, aspects),
            "pictures": distances,
            "images": images,
        },
        {"example": draw_pictures(shown, title=setup.prompts[0])},
    )


def diversity(outcomes: Sequence[Hashable], n_possible: int) -> dict[str, Any]:
    """Return how many different outcomes occurred, and how evenly.

    Parameters
    ----------
    outcomes
        What was observed, one per image.
    n_possible
        How many different outcomes there are.

    Returns
    -------
    dict
        ``n``; ``n_different``; ``coverage``, estimated probability that a further image shows an outcome that was
        seen already, ``1 - (outcomes seen once) / n`` (Good 1953); ``entropy``, bits, with the bias of a small sample
        corrected by ``(n_different - 1) / (2 n ln 2)`` (Miller 1955) and at most log2 of `n_possible`; ``evenness``,
        the same divided by log2 of `n_possible`, 0 for a collapsed prompt, 1 where all outcomes are equally frequent.

    Raises
    ------
    ValueError
        If there are no outcomes, or fewer than two are possible.
    """
    if not outcomes or n_possible < 2:
        raise ValueError(
            f"Expected outcomes, of two possible ones at least, but got {len(outcomes)} of {n_possible}."
        )
    counts = Counter(outcomes)
    n, different = len(outcomes), len(counts)
    most = math.log2(n_possible)
    bits = float(entropy(list(counts.values()), base=2)) + (different - 1) / (2 * n * math.log(2))
    once = sum(count == 1 for count in counts.values())
    return {
        "n": n,
        "n_different": different,
        "coverage": 1 - once / n,
        "entropy": min(bits, most),
        "evenness": min(bits, most) / most,
    }


def picture_distances(pictures: np.ndarray, prompts: Sequence[str]) -> pd.DataFrame:
    """Compare pictures within and between prompts.

    Parameters
    ----------
    pictures
        In [0, 1], *shape* (picture, y, x, 3)
    prompts
        The prompt of each.

    Returns
    -------
    pandas.DataFrame
        One row per prompt: ``within``, mean over pairs of its pictures of their mean absolute difference; ``between``,
        the same with pictures of other prompts; ``relative``, their ratio, NaN with a ``reason`` without other prompts.
    """
    found: dict[str, dict[str, list[float]]] = {p: {"within": [], "between": []} for p in prompts}
    for i, j in combinations(range(len(prompts)), 2):
        distance = float(np.abs(pictures[i] - pictures[j]).mean())
        side = "within" if prompts[i] == prompts[j] else "between"
        for prompt in {prompts[i], prompts[j]}:
            found[prompt][side].append(distance)
    rows = []
    for prompt, sides in found.items():
        within, between = (float(np.mean(each)) if each else math.nan for each in sides.values())
        reason = "" if between > 0 else "no pictures of other prompts that differ from its own"
        relative = within / between if between > 0 else math.nan
        rows.append(
            {"prompt": prompt, "within": within, "between": between}
            | {"relative": relative, "reason": reason}
        )
    return pd.DataFrame(rows)


def _place(drawing: TracedImage) -> str | None:
    """Return the cell in which the first noun's map is largest, as row/column from the top left."""
    nouns = [i for i in content_words(drawing.maps.sentence, ("NOUN",)) if i in drawing.maps.mapped]
    if not nouns:
        return None
    values = drawing.maps[nouns[0]].values
    y, x = np.unravel_index(values.argmax(), values.shape)
    height, width = values.shape
    return f"{int(y) * GRID // height + 1}/{int(x) * GRID // width + 1}"


def _largest(annotation: Annotation) -> dict[str, str]:
    noun = next(iter(annotation.present()), "none")
    colour = "none" if noun == "none" else annotation.colour(noun) or "none"
    return {"noun": noun, "colour": colour}


def _diversity_table(images: pd.DataFrame, aspects: Sequence[str]) -> pd.DataFrame:
    rows = []
    for (name, prompt), group in images.groupby(["prompt_id", "prompt"], sort=False):
        for aspect in aspects:
            outcomes = group[aspect].dropna().to_list()
            row: dict[str, Any] = {"prompt_id": name, "prompt": prompt, "image": name}
            row |= {"aspect": aspect, "n_possible": _OUTCOMES[aspect]}
            row |= diversity(outcomes, _OUTCOMES[aspect]) if outcomes else {"n": 0}
            rows.append(row | {"reason": "" if outcomes else "no noun with a map"})
    columns = ["prompt_id", "prompt", "image", "aspect", "n_possible", "n", "n_different"]
    return pd.DataFrame(rows, columns=[*columns, "coverage", "entropy", "evenness", "reason"])


def _occurrences(images: pd.DataFrame, aspects: Sequence[str]) -> pd.DataFrame:
    long = images.melt(["prompt"], list(aspects), var_name="aspect", value_name="outcome")
    counts = long.groupby(["aspect", "prompt", "outcome"], sort=False).size().rename("n_images")
    return counts.reset_index().sort_values(
        ["aspect", "prompt", "n_images"], ascending=[True, True, False], ignore_index=True
    )


def _answers(table: pd.DataFrame, distances: pd.DataFrame, aspects: Sequence[str]) -> list[Finding]:
    of = {aspect: table[table["aspect"] == aspect] for aspect in aspects}
    rows = distances.assign(prompt_id=distances["prompt"], image=distances["prompt"])
    return [
        Finding(
            "How evenly outcomes occur",
            "evenness (0: one outcome only, 1: all equally often)",
            tuple(
                estimate_mean(rows, "evenness", label=aspect, bounds=SHARE)
                for aspect, rows in of.items()
            ),
            notes=_fixed(of),
        ),
        Finding(
            "Whether the seeds suffice",
            "coverage (probability that a further picture shows a known outcome)",
            tuple(
                estimate_mean(rows, "coverage", label=aspect, bounds=SHARE)
                for aspect, rows in of.items()
            ),
        ),
        Finding(
            "How alike the pictures are",
            "difference of pictures (ratio; 1: the prompt makes none)",
            (
                estimate_mean(
                    rows,
                    "relative",
                    label="within a prompt over between prompts",
                    bounds=(0, math.inf),
                ),
            ),
        ),
    ]


def _fixed(of: dict[str, pd.DataFrame]) -> tuple[str, ...]:
    """Say of how many prompts all pictures had the same outcome."""
    return tuple(
        f"All pictures have the same {aspect} in {(rows['n_different'] == 1).sum()} of "
        f"{rows['n_different'].notna().sum()} prompts."
        for aspect, rows in of.items()
    )
