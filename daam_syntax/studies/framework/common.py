"""Computations that several studies share: content words, changes of images, rows of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence, prompt_id
from daam_syntax.maps.measures import PAIR_MEASURES

Item = TypeVar("Item")

CONTENT: Final = ("NOUN", "PROPN", "ADJ", "VERB")
"""Universal parts of speech of content words."""

SHARE: Final = (0.0, 1.0)
"""Bounds of shares, of changes of images, and of other values between 0 and 1."""


def content_words(sentence: Sentence, pos: Sequence[str] = CONTENT) -> list[int]:
    """Return the indices of the words with one of these parts of speech."""
    return [token.index for token in sentence.tokens if token.pos in pos]


def batched(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `n`; the last may be shorter."""
    items = list(items)
    for start in range(0, len(items), n):
        yield items[start : start + n]


def image_row(sentence: Sentence, seed: int) -> dict[str, Any]:
    """Return the columns that identify the image of a row."""
    name = prompt_id(sentence.text)
    return {"prompt_id": name, "prompt": sentence.text, "image": f"{name}-{seed}", "seed": seed}


def inside_and_outside(change: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Return the mean of a change inside and outside a mask.

    Parameters
    ----------
    change, mask
        *Shape:* (y, x)

    Returns
    -------
    dict
        ``inside``, ``outside``, their ``difference``, the mean over the ``whole`` image, the ``area`` of the mask
        (share of the image), and a ``reason`` if one side is empty, whose mean is then NaN.
    """
    inside = float(change[mask].mean()) if mask.any() else float("nan")
    outside = float(change[~mask].mean()) if not mask.all() else float("nan")
    reason = "" if mask.any() and not mask.all() else "the mask is empty or covers the whole image"
    return {
        "inside": inside,
        "outside": outside,
        "difference": inside - outside,
        "whole": float(change.mean()),
        "area": float(mask.mean()),
        "reason": reason,
    }


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays over their elements; NaN if one is constant."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def require_rows(rows: Sequence[Mapping[str, Any]], what: str) -> pd.DataFrame:
    """Return rows as a table.

    Raises
    ------
    StudyError
        If there are no rows, because no prompt has what the study examines.
    """
    if not rows:
        raise StudyError(f"Expected prompts with {what}, but none has one: choose other prompts.")
    return pd.DataFrame(rows)


def best_scheme(sentences: Sequence[Sentence]) -> str:
    """Return "enhanced", the dependency scheme of Tang et al. (2023), if all parses have it, else "native"."""
    enhanced = all("enhanced" in sentence.edges for sentence in sentences)
    return "enhanced" if enhanced else "native"


def measure_bounds(measure: str) -> tuple[float, float]:
    """Return the lowest and the highest possible value of a pair measure.

    Raises
    ------
    StudyError
        If no measure has this name; the message lists all of them.
    """
    if measure not in PAIR_MEASURES:
        raise StudyError(
            f"Expected one of the measures {', '.join(PAIR_MEASURES)}, but got {measure!r}."
        )
    return PAIR_MEASURES[measure].low, PAIR_MEASURES[measure].high
