"""What an edit does: rows of the table, one for each condition and noun that is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.contextless.conditions import (
    COLOR,
    ITSELF,
    MIRRORED,
    NUMBER,
    PLACE,
    SPECIAL,
    ColoredNoun,
    Condition,
    Placed,
)
from daam_syntax.studies.contextless.contents import Seen
from daam_syntax.studies.contextless.drawing import Drawn

OWN, OTHER, BOTH = "own", "other", "both"
"""Roles of the noun that is looked at: the edit's own, another noun with a color of its own, or both nouns."""


def rows_of(
    maps: HeatMaps,
    drawn: Drawn,
    before: Seen | None,
    after: Seen | None,
    pairs: Sequence[ColoredNoun],
    nouns: tuple[int, int] | None,
    place: Placed | None,
    threshold: str,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one image.

    Parameters
    ----------
    maps
        Maps of the unedited image.
    drawn
        The image.
    before, after
        What the unedited image and this one show; None if no annotator can say.
    pairs, nouns, place
        What the prompt says of colors, number and place.
    threshold
        Threshold rule for the masks in which the change is averaged.
    """
    condition = drawn.condition
    shared = {
        "question": condition.question,
        "condition": condition.name,
        "edited": " ".join(maps.sentence[word].text for word in condition.words),
        "change": float("nan") if drawn.change is None else float(drawn.change.mean()),
        "reason": drawn.reason,
    }
    if condition.question == COLOR:
        for pair in pairs:
            is_own = pair.noun in condition.words
            row = shared | {
                "role": BOTH if condition.name in (ITSELF, SPECIAL) else OWN if is_own else OTHER,
                "noun": maps.sentence[pair.noun].text,
                "color": maps.sentence[pair.color].text,
                "change_in_noun": _inside(maps, pair.noun, drawn.change, threshold),
            }
            yield row | _of_color(maps.sentence, condition, pair, pairs, before, after)
    elif condition.question == NUMBER and nouns is not None:
        for role, own in _roles(condition, nouns).items():
            texts = [maps.sentence[noun].text for noun in own]
            yield (
                shared | {"role": role, "noun": " ".join(texts)} | _of_number(texts, before, after)
            )
    elif condition.question == PLACE and place is not None:
        texts = [maps.sentence[noun].text for noun in (place.first, place.last)]
        word = maps.sentence[place.word].text.lower()
        row = shared | {"role": BOTH, "noun": " ".join(texts)}
        yield row | _of_place(texts, word, before, after)
    elif condition.name == ITSELF:
        yield shared | {"role": BOTH, "noun": ""}


def _inside(maps: HeatMaps, noun: int, change: np.ndarray | None, threshold: str) -> float:
    """Return the mean change in the mask of a noun; NaN if it has none."""
    if change is None or noun not in maps.mapped:
        return float("nan")
    mask = maps[noun].mask(threshold, change.shape)
    return float(change[mask].mean()) if mask.any() else float("nan")


def _of_color(
    sentence: Sentence,
    condition: Condition,
    pair: ColoredNoun,
    pairs: Sequence[ColoredNoun],
    before: Seen | None,
    after: Seen | None,
) -> dict[str, Any]:
    """Return whether a noun keeps its color, and whether it takes the other color that the edit brings.

    NaN if the unedited image did not show it in its color, or the edited one does not show it.
    """
    noun, color = sentence[pair.noun].text, sentence[pair.color].text
    nothing = {"shown": float("nan"), "kept": float("nan"), "taken": float("nan")}
    if before is None or after is None or before.colors.get(noun) != color:
        return nothing
    others = [each.other for each in pairs if each.noun in condition.words]
    now = after.colors.get(noun)
    if now is None:
        return nothing | {"shown": 0.0}
    return {
        "shown": 1.0,
        "kept": float(now == color),
        "taken": float(now in others) if others else float("nan"),
    }


def _roles(condition: Condition, nouns: tuple[int, int]) -> Mapping[str, tuple[int, ...]]:
    """Return the nouns to look at: both, and, if one of them is edited, that one and the other."""
    roles: dict[str, tuple[int, ...]] = {BOTH: nouns}
    own = tuple(noun for noun in nouns if noun in condition.words)
    if len(own) == 1:
        roles |= {OWN: own, OTHER: tuple(noun for noun in nouns if noun not in own)}
    return roles


def _of_number(nouns: Sequence[str], before: Seen | None, after: Seen | None) -> dict[str, Any]:
    """Return whether the nouns are still shown; NaN if the unedited image did not show them."""
    if before is None or after is None or not before.shows(*nouns):
        return {"shown": float("nan")}
    return {"shown": float(after.shows(*nouns))}


def _of_place(
    nouns: Sequence[str], word: str, before: Seen | None, after: Seen | None
) -> dict[str, Any]:
    """Return whether the first noun is where the word says, or opposite.

    NaN if it was not where the word says before the edit, or the edited image does not show both.
    """
    first, last = nouns
    nothing = {"shown": float("nan"), "kept": float("nan"), "taken": float("nan")}
    if before is None or after is None or before.place(first, last, word) != word:
        return nothing
    if not after.shows(first, last):
        return nothing | {"shown": 0.0}
    now = after.place(first, last, word)
    return {"shown": 1.0, "kept": float(now == word), "taken": float(now == MIRRORED[word])}
