"""What the study of adjectives answers: its estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.studies.framework.common import SHARE
from daam_syntax.studies.framework.findings import Finding, compared

FIXED: Final = "layout held fixed"
FREE: Final = "new layout"
"""How a picture with a swapped adjective was drawn: the conditions."""

_SOME: Final = 0.1  # of the pixels: less is an edge of an object


def answers(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return what the tables say: of a stored run breadth and place of maps, else the swaps too."""
    found = [_of_breadth(tables["words"]), _of_maps(tables["maps"])]
    if "swaps" in tables:
        found.append(_of_swaps(tables["swaps"]))
    if "colours" in tables:
        found.append(_of_colours(tables["colours"]))
    return found


def _of_breadth(words: pd.DataFrame) -> Finding:
    adjectives, nouns = (words[words["role"] == role] for role in ("adjective", "noun"))
    return Finding(
        "How broad the maps are",
        "effective area (share of the picture)",
        compared(
            adjectives,
            nouns,
            "effective_area",
            ("adjectives", "their nouns", "adjective minus its noun"),
            SHARE,
        ),
    )


def _of_maps(maps: pd.DataFrame) -> Finding:
    of_noun = maps.assign(outside_noun=maps["noun_outside_noun"])
    labels = (
        "adjective, outside its noun's mask",
        "noun, outside its own mask",
        "outside the mask, adjective minus noun",
    )
    return Finding(
        "Where an adjective's attention lies",
        "share of the word's attention",
        (
            *compared(maps, of_noun, "outside_noun", labels, SHARE),
            estimate_mean(
                maps, "excess_on_noun", label="adjective, on its noun, minus the mask's area"
            ),
            estimate_mean(
                maps,
                "excess_on_other_noun",
                label="adjective, on the other noun (leakage), minus that mask's area",
            ),
        ),
    )


def _of_swaps(swaps: pd.DataFrame) -> Finding:
    fixed, free = (swaps[swaps["condition"] == name] for name in (FIXED, FREE))
    return Finding(
        "What a swapped colour changes in the picture",
        "change of the picture (0 to 1)",
        (
            estimate_mean(
                fixed, "inside", label="layout fixed, inside the noun's mask", bounds=SHARE
            ),
            estimate_mean(fixed, "outside", label="layout fixed, outside it", bounds=SHARE),
            estimate_mean(fixed, "difference", label="layout fixed, inside minus outside"),
            estimate_mean(free, "outside", label="drawn freely, outside the mask", bounds=SHARE),
            estimate_difference(
                free, fixed, "outside", label="outside, drawn freely minus fixed", bounds=SHARE
            ),
        ),
    )


def _of_colours(colours: pd.DataFrame) -> Finding:
    def seen(condition: str, role: str) -> pd.DataFrame:
        return colours[(colours["condition"] == condition) & (colours["role"] == role)]

    return Finding(
        "Which pixels have the colour",
        "share of the noun's pixels, by the annotator",
        (
            estimate_mean(
                seen("original", "noun"), "old_colour", label="noun in its own colour", bounds=SHARE
            ),
            estimate_mean(
                seen("original", "other noun"),
                "old_colour",
                label="other noun in the adjective's colour (leakage)",
                bounds=SHARE,
            ),
            *(
                estimate_difference(
                    seen(FIXED, role),
                    seen("original", role),
                    "new_colour",
                    label=f"layout fixed: {role} in the new colour, gain",
                    bounds=SHARE,
                )
                for role in ("noun", "other noun")
            ),
        ),
        notes=_leaks(seen(FIXED, "other noun")),
    )


def _leaks(others: pd.DataFrame) -> tuple[str, ...]:
    """Count the other nouns that took on the new colour: a mean over mostly zeros hides them."""
    known = others.dropna(subset=["new_colour"])
    some = known[known["new_colour"] > _SOME]
    which = ", ".join(
        f"{row.new_colour:.0%} in {row.prompt!r} with {row.adjective!r} swapped"
        for row in some.sort_values("new_colour", ascending=False).head(3).itertuples()
    )
    return (
        f"After {len(some)} of {len(known)} swaps with the layout held fixed, more than {_SOME:.0%} of the other "
        f"noun's pixels had the new colour" + (f" (most: {which})." if which else "."),
    )
