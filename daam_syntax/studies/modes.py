"""Coverage and diversity: how the images of a prompt vary over its seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
import scipy

from daam_syntax.analysis import estimate_mean
from daam_syntax.drawing.traced_images import TracedImage
from daam_syntax.emoji.annotator import COLOR_CLASSES, NOUN_CLASSES, Annotation
from daam_syntax.emoji.model import annotator_for
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.errors import StudyError
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.plots import draw_images
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row
from daam_syntax.studies.framework.word_classes import content_words

GRID: Final = 3
"""Number of rows and of columns of the grid that distinguishes places in an image."""

DESIGN: Final = StudyDesign(
    name="modes",
    title="Modes: what a prompt leaves open, and how the model fills it in",
    question="Over the seeds of a prompt, which nouns, colors and places occur, how evenly are they distributed, and "
    "are the images more alike than images of different prompts?",
    method="Each prompt is drawn from many seeds. The noun and the color are those of the largest object that the "
    "annotator finds (only for images of the embedded model). The place is the cell of a 3 x 3 grid that contains the "
    "maximum of the map of the prompt's first noun. Evenness is the entropy of the outcomes divided by that of equally "
    "frequent outcomes: 0 for a prompt that has collapsed to one outcome, 1 if all possible outcomes are equally "
    "frequent. Coverage is the estimated probability that another image shows an outcome that has already been seen "
    "(Good 1953): if it is near 1, more seeds would show little that is new. The difference of images is the mean "
    "absolute difference (0 to 1) of two images of the prompt, divided by that of two images of different prompts: 0 "
    "for a prompt that yields a single image, about 1 if the prompt makes no difference.",
    limits="An object whose color the prompt does not name keeps the colors of its sprite, which count as one color: "
    "colors are therefore the same by construction, and only the tables have them. "
    "Evenness is relative to all outcomes that the annotator knows, although a prompt excludes most of them: "
    "compare prompts with each other, and do not expect 1. An even model is not necessarily a correct one: the study "
    "does not say which outcomes the prompt should have. Entropies from few seeds are uncertain, and their correction "
    "is approximate.",
    prompts="open",
    seeds=12,
    steps=12,
    figures={"example": "Images of the first prompt."},
    tables={
        "diversity": "Evenness, coverage and entropy (bits) by prompt and aspect.",
        "occurrences": "How often each outcome occurred.",
        "image_differences": "Differences of images within and between prompts.",
        "images": "Outcomes for each image.",
    },
)

_OUTCOMES: Final = {
    "noun": len(NOUN_CLASSES),  # all nouns, and none
    "color": len(COLOR_CLASSES),  # all colors, including a sprite's own, and none
    "place": GRID**2,
}


def run(setup: Setup) -> StudyResult:
    """Draw each prompt from many seeds, and measure how its images vary.

    Parameters
    ----------
    setup
        The setup, with at least two seeds; estimating diversity takes many more.

    Raises
    ------
    StudyError
        If there are fewer than two seeds.
    """
    if setup.seeds < 2:
        raise StudyError(
            f"Expected at least two seeds, since images are compared, but got {setup.seeds}: give more seeds."
        )
    traced_images = list(setup.traced_images())
    annotator = annotator_for(setup.pipe)
    annotations = annotator([each.image for each in traced_images]) if annotator else None
    images = pd.DataFrame(
        [
            image_row(traced.maps.sentence, traced.seed)
            | {"place": _place(traced)}
            | (_largest(annotations[number]) if annotations else {})
            for number, traced in enumerate(traced_images)
        ]
    )
    aspects = [name for name in _OUTCOMES if name in images.columns]
    table = _diversity_table(images, aspects)
    pixels = np.stack([np.asarray(each.image, dtype=np.float64) / 255 for each in traced_images])
    distances = image_distances(pixels, images["prompt"].to_list())
    tested = [name for name in aspects if name != "color"]  # the same by construction
    findings = [
        # The rows of these tables are prompts, so the number of images is set here.
        replace(each, estimates=tuple(replace(e, n_images=len(images)) for e in each.estimates))
        for each in _findings(table, distances, tested)
    ]
    shown = [(f"seed {number}", pixels[number]) for number in range(min(setup.seeds, 6))]
    return StudyResult.of(
        DESIGN,
        setup,
        findings,
        {
            "diversity": table,
            "occurrences": _occurrences(images, aspects),
            "image_differences": distances,
            "images": images,
        },
        {"example": draw_images(shown, title=setup.prompts[0])},
    )


def diversity(outcomes: Sequence[Hashable], n_possible: int) -> dict[str, Any]:
    """Return how many different outcomes occurred, and how evenly they are distributed.

    Parameters
    ----------
    outcomes
        Observed outcomes, one per image.
    n_possible
        Number of possible outcomes.

    Returns
    -------
    dict
        ``n``; ``n_different``; ``coverage``, the estimated probability that another image shows an outcome that has
        already been seen, ``1 - (outcomes seen once) / n`` (Good 1953); ``entropy`` in bits, corrected for the bias of
        small samples by ``(n_different - 1) / (2 n ln 2)`` (Miller 1955) and at most log2 of `n_possible`; and
        ``evenness``, the entropy divided by log2 of `n_possible`: 0 for a collapsed prompt, 1 if all outcomes are
        equally frequent.

    Raises
    ------
    ValueError
        If there are no outcomes, or if fewer than two are possible.
    """
    if not outcomes or n_possible < 2:
        raise ValueError(
            f"Expected outcomes, and at least two possible ones, but got {len(outcomes)} of {n_possible} possible."
        )
    counts = Counter(outcomes)
    n, different = len(outcomes), len(counts)
    most = math.log2(n_possible)
    plain = float(scipy.stats.entropy(list(counts.values()), base=2))
    bits = plain + (different - 1) / (2 * n * math.log(2))
    once = sum(count == 1 for count in counts.values())
    return {
        "n": n,
        "n_different": different,
        "coverage": 1 - once / n,
        "entropy": min(bits, most),
        "evenness": min(bits, most) / most,
    }


def image_distances(images: np.ndarray, prompts: Sequence[str]) -> pd.DataFrame:
    """Compare images within and between prompts.

    Parameters
    ----------
    images
        RGB in [0, 1]. *Shape:* (image, y, x, 3)
    prompts
        Prompt of each image.

    Returns
    -------
    pandas.DataFrame
        One row per prompt: ``within``, the mean absolute difference of two of its images, averaged over pairs;
        ``between``, the same for one of its images and an image of another prompt; and ``relative``, their ratio, NaN
        with a ``reason`` if there are no other prompts.
    """
    found: dict[str, dict[str, list[float]]] = {p: {"within": [], "between": []} for p in prompts}
    for i, j in combinations(range(len(prompts)), 2):
        distance = float(np.abs(images[i] - images[j]).mean())
        side = "within" if prompts[i] == prompts[j] else "between"
        for prompt in {prompts[i], prompts[j]}:
            found[prompt][side].append(distance)
    rows = []
    for prompt, sides in found.items():
        within, between = (float(np.mean(each)) if each else math.nan for each in sides.values())
        reason = "" if between > 0 else "no images of other prompts that differ from its own"
        relative = within / between if between > 0 else math.nan
        rows.append(
            {"prompt": prompt, "within": within, "between": between}
            | {"relative": relative, "reason": reason}
        )
    return pd.DataFrame(rows)


def _place(traced: TracedImage) -> str | None:
    """Return the cell with the maximum of the first noun's map, as row/column from the top left."""
    nouns = [i for i in content_words(traced.maps.sentence, ("NOUN",)) if i in traced.maps.mapped]
    if not nouns:
        return None
    values = traced.maps[nouns[0]].values
    y, x = np.unravel_index(values.argmax(), values.shape)
    height, width = values.shape
    return f"{int(y) * GRID // height + 1}/{int(x) * GRID // width + 1}"


def _largest(annotation: Annotation) -> dict[str, str]:
    noun = next(iter(annotation.present()), "none")
    color = "none" if noun == "none" else annotation.color(noun) or "none"
    return {"noun": noun, "color": color}


def _diversity_table(images: pd.DataFrame, aspects: Sequence[str]) -> pd.DataFrame:
    rows = []
    for (name, prompt), group in images.groupby(["prompt_id", "prompt"], sort=False):
        for aspect in aspects:
            outcomes = group[aspect].dropna().to_list()
            row: dict[str, Any] = {"prompt_id": name, "prompt": prompt, "image": name}
            row |= {"aspect": aspect, "n_possible": _OUTCOMES[aspect]}
            row |= diversity(outcomes, _OUTCOMES[aspect]) if outcomes else {"n": 0}
            rows.append(row | {"reason": "" if outcomes else "no noun has a map"})
    columns = ["prompt_id", "prompt", "image", "aspect", "n_possible", "n", "n_different"]
    return pd.DataFrame(rows, columns=[*columns, "coverage", "entropy", "evenness", "reason"])


def _occurrences(images: pd.DataFrame, aspects: Sequence[str]) -> pd.DataFrame:
    long = images.melt(["prompt"], list(aspects), var_name="aspect", value_name="outcome")
    counts = long.groupby(["aspect", "prompt", "outcome"], sort=False).size().rename("n_images")
    return counts.reset_index().sort_values(
        ["aspect", "prompt", "n_images"], ascending=[True, True, False], ignore_index=True
    )


def _findings(
    table: pd.DataFrame, distances: pd.DataFrame, aspects: Sequence[str]
) -> list[Finding]:
    of = {aspect: table[table["aspect"] == aspect] for aspect in aspects}
    rows = distances.assign(prompt_id=distances["prompt"], image=distances["prompt"])
    return [
        Finding(
            "Evenness of the outcomes",
            "evenness (0: a single outcome, 1: all equally frequent)",
            tuple(
                estimate_mean(rows, "evenness", label=aspect, bounds=SHARE)
                for aspect, rows in of.items()
            ),
            notes=_fixed(of),
        ),
        Finding(
            "Coverage by the seeds",
            "coverage (probability that another image shows an outcome seen before)",
            tuple(
                estimate_mean(rows, "coverage", label=aspect, bounds=SHARE)
                for aspect, rows in of.items()
            ),
        ),
        Finding(
            "Difference of the images",
            "difference of images (ratio; 1: the prompt makes no difference)",
            (
                estimate_mean(
                    rows,
                    "relative",
                    label="within a prompt, relative to between prompts",
                    bounds=(0, math.inf),
                ),
            ),
        ),
    ]


def _fixed(of: dict[str, pd.DataFrame]) -> tuple[str, ...]:
    """Report the number of prompts whose images all have the same outcome, without those that name the outcome."""
    notes = []
    for aspect, rows in of.items():
        known, which = rows[rows["n_different"].notna()], "prompts"
        if aspect == "noun":
            is_named = [bool(set(prompt.split()) & set(NOUNS)) for prompt in known["prompt"]]
            known, which = known[~np.array(is_named, dtype=bool)], "prompts that name no noun"
        same = int((known["n_different"] == 1).sum())
        notes.append(f"All images have the same {aspect} in {same} of {len(known)} {which}.")
    return tuple(notes)
