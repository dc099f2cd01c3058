"""What several studies compute: words, changes of pictures, rows of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence, prompt_id

Item = TypeVar("Item")

CONTENT: Final = ("NOUN", "PROPN", "ADJ", "VERB")
"""Universal parts of speech of content words."""

SHARE: Final = (0.0, 1.0)
"""Bounds of shares, of changes of pictures, and of whatever else lies between 0 and 1."""


def content_words(sentence: Sentence, pos: Sequence[str] = CONTENT) -> list[int]:
    """Return the indices of the words of some parts of speech."""
    return [token.index for token in sentence.tokens if token.pos in pos]


def batched(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `n`, the last perhaps shorter."""
    items = list(items)
    for start in range(0, len(items), n):
        yield items[start : start + n]


def image_row(sentence: Sentence, seed: int) -> dict[str, Any]:
    """Return the columns that say which image a row is about."""
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
        ``inside``, ``outside``, their ``difference``, the ``whole`` picture's mean, the mask's ``area`` (share of the
        picture) and a ``reason`` where the mask leaves one side empty, whose mean is NaN.
    """
    inside = float(change[mask].mean()) if mask.any() else float("nan")
    outside = float(change[~mask].mean()) if not mask.all() else float("nan")
    reason = "" if mask.any() and not mask.all() else "the mask is empty or the whole picture"
    return {
        "inside": inside,
        "outside": outside,
        "difference": inside - outside,
        "whole": float(change.mean()),
        "area": float(mask.mean()),
        "reason": reason,
    }


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays over their elements; NaN where one is constant."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def require_rows(rows: Sequence[Mapping[str, Any]], what: str) -> pd.DataFrame:
    """Return rows as a table.

    Raises
    ------
    StudyError
        If there is none, because the prompts do not have what the study is about.
    """
    if not rows:
        raise StudyError(f"Expected prompts with {what}, but none has such; choose other prompts.")
    return pd.DataFrame(rows)


def best_scheme(sentences: Sequence[Sentence]) -> str:
    """Return the scheme of Tang et al. (2023), "enhanced", where all parses have it, else the parser's own."""
    enhanced = all("enhanced" in sentence.edges for sentence in sentences)
    return "enhanced" if enhanced else "native"
