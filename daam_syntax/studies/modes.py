"""Coverage and diversity: which pictures a prompt gives over its seeds, and how evenly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import entropy

from daam_syntax.analysis import Estimate, estimate_mean
from daam_syntax.drawing import Drawing, DrawingSettings
from daam_syntax.emoji.annotator import COLOUR_CLASSES, NOUN_CLASSES, Annotation, Annotator
from daam_syntax.loading import is_emoji
from daam_syntax.studies.common import (
    content_words,
    estimates_table,
    finding,
    image_row,
    parse_prompts,
    provenance,
)
from daam_syntax.studies.drawings import draw_all
from daam_syntax.studies.plots import draw_estimates, draw_pictures
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Modes: what a prompt leaves open, and what the model makes of it"
QUESTION: Final = (
    "Over the seeds of a prompt, which nouns, colours and places occur, how evenly, and are the pictures more alike "
    "than those of different prompts?"
)
PROMPTS: Final = (
    "a bird",
    "a pet in a room",
    "a fruit",
    "a wild animal in a field",
    "a vehicle in a city",
    "a cat",
    "a red car",
    "a house in the snow",
)
GRID: Final = 3
"""Places are told apart as this many rows and columns of the picture."""

_OUTCOMES: Final = {
    "noun": len(NOUN_CLASSES),  # the nouns, and none
    "colour": len(COLOUR_CLASSES),  # the colours, the sprite's own among them, and none
    "place": GRID**2,
}


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 12,
    steps: int | None = 12,
    guidance: float | None = None,
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Draw each prompt from many seeds, and say how its pictures vary.

    - *noun* and *colour*: the largest object that the annotator sees (pictures of the embedded model only);
    - *place*: in which cell of a grid of 3 x 3 the map of the prompt's first noun has its largest value;
    - *picture*: the mean absolute difference (0 to 1) of two pictures of the prompt, divided by that of two
      pictures of different prompts: 0 for a prompt that has collapsed to one picture, about 1 where the prompt makes no
      difference.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt, two at least; diversity cannot be told from few.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "diversity", one row per prompt and aspect with the fields of `diversity`; "occurrences",
        how often each outcome occurred; "pictures", the distances of pictures by prompt; "images".

    Raises
    ------
    ValueError
        If there are fewer than two seeds.
    """
    if seeds < 2:
        raise ValueError(f"Expected at least two seeds, for pictures to differ, but got {seeds}.")
    sentences = parse_prompts(prompts, PROMPTS, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    drawings = list(draw_all(pipe, sentences, seeds, settings, progress=progress))
    annotations = Annotator.load()([each.image for each in drawings]) if is_emoji(pipe) else None
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
    found = [
        replace(estimate, n_images=len(images))  # its rows are prompts
        for estimate in _estimates(table, distances, aspects)
    ]
    estimates = estimates_table(found)
    return StudyResult(
        "modes",
        TITLE,
        QUESTION,
        tuple(finding(estimate) for estimate in found),
        {
            "estimates": estimates,
            "diversity": table,
            "occurrences": _occurrences(images, aspects),
            "pictures": distances,
            "images": images,
        },
        {
            "diversity": draw_estimates(
                estimates[estimates["measure"] != "coverage"], unit="diversity (0: collapsed)"
            ),
            "example": draw_pictures(
                [(f"seed {number}", pixels[number]) for number in range(min(seeds, 6))],
                title=sentences[0].text,
            ),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(pipe, settings, seeds, sentences),
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


def _place(drawing: Drawing) -> str | None:
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


def _estimates(
    table: pd.DataFrame, distances: pd.DataFrame, aspects: Sequence[str]
) -> list[Estimate]:
    found = []
    for aspect in aspects:
        rows = table[table["aspect"] == aspect]
        found.append(estimate_mean(rows, "evenness", label=f"evenness of the {aspect}"))
        found.append(estimate_mean(rows, "coverage", label=f"coverage of the {aspect}"))
    rows = distances.assign(prompt_id=distances["prompt"], image=distances["prompt"])
    found.append(
        estimate_mean(rows, "relative", label="difference of pictures, within over between prompts")
    )
    return found
