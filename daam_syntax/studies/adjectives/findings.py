"""Findings of the study of adjectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.findings import Finding, means_and_difference

FIXED: Final = "layout held fixed"
FREE: Final = "new layout"
"""Conditions in which an image with a swapped adjective is drawn."""

_SOME: Final = 0.1  # share of the pixels; less may be just the edge of an object


def make_findings(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return the findings: breadth and place of the maps and, unless a stored run was measured, the swaps."""
    findings = [_of_breadth(tables["words"]), *_of_maps(tables["maps"])]
    if "objects" in tables:
        findings.append(_of_objects(tables["objects"]))
    if "swaps" in tables:
        findings.append(_of_swaps(tables["swaps"]))
    if "colors" in tables:
        findings.append(_of_colors(tables["colors"]))
    return findings


def _of_breadth(words: pd.DataFrame) -> Finding:
    adjectives, nouns = (words[words["role"] == role] for role in ("adjective", "noun"))
    return Finding(
        "Breadth of the maps",
        "effective area (share of the image)",
        means_and_difference(
            adjectives,
            nouns,
            "effective_area",
            ("adjectives", "their nouns", "adjective minus its noun"),
            SHARE,
        ),
    )


def _of_maps(maps: pd.DataFrame) -> list[Finding]:
    unit = "share of the word's attention"
    own, other = (
        maps.assign(excess=maps[name]) for name in ("excess_on_noun_only", "excess_on_other_noun")
    )
    return [
        Finding(
            "Attention outside the other word's mask",
            unit,
            _two_words(maps, "outside_other", "outside the other word's mask"),
        ),
        Finding(
            "Place of an adjective's attention",
            f"{unit}, minus the area of the mask",
            (
                estimate_mean(maps, "excess_on_noun", label="on its noun", bounds=(-1, 1)),
                estimate_mean(
                    maps,
                    "excess_on_other_noun",
                    label="on the other noun only (leakage)",
                    bounds=(-1, 1),
                ),
                estimate_difference(
                    own,
                    other,
                    "excess",
                    label="on its noun only minus on the other noun only (relation plus distance)",
                    bounds=(-1, 1),
                ),
            ),
        ),
    ]


def _of_objects(objects: pd.DataFrame) -> Finding:
    return Finding(
        "Attention outside the noun's object, according to the annotator",
        "share of the word's attention",
        _two_words(objects, "outside_object", "outside the object"),
    )


def _two_words(table: pd.DataFrame, name: str, where: str) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate a share of the adjectives and of their nouns, and the difference."""
    adjectives, nouns = (
        table.assign(share=table[f"{role}_{name}"]) for role in ("adjective", "noun")
    )
    labels = (f"adjective, {where}", f"noun, {where}", f"{where}, adjective minus noun")
    return means_and_difference(adjectives, nouns, "share", labels, SHARE)


def _of_swaps(swaps: pd.DataFrame) -> Finding:
    fixed, free = (swaps[swaps["condition"] == name] for name in (FIXED, FREE))
    inside, outside = (fixed.assign(change=fixed[side]) for side in ("inside", "outside"))
    of_inside, of_outside, by_place = means_and_difference(
        inside,
        outside,
        "change",
        (
            "layout fixed, inside the noun's mask",
            "layout fixed, outside it",
            "layout fixed, inside minus outside",
        ),
        SHARE,
    )
    labels = ("layout free, outside the mask", "", "outside, layout free minus fixed")
    of_free, _, difference = means_and_difference(free, fixed, "outside", labels, SHARE)
    return Finding(
        "Effect of swapping the color",
        "change of the image (0 to 1)",
        (of_inside, of_outside, by_place, of_free, difference),
    )


def _of_colors(colors: pd.DataFrame) -> Finding:
    def seen(condition: str, role: str) -> pd.DataFrame:
        return colors[(colors["condition"] == condition) & (colors["role"] == role)]

    return Finding(
        "Pixels of the color",
        "share of the noun's pixels, according to the annotator",
        (
            estimate_mean(
                seen("original", "noun"), "old_color", label="noun in its own color", bounds=SHARE
            ),
            estimate_mean(
                seen("original", "other noun"),
                "old_color",
                label="other noun in the adjective's color (leakage)",
                bounds=SHARE,
            ),
            *(
                estimate_difference(
                    seen(FIXED, role),
                    seen("original", role),
                    "new_color",
                    label=f"layout fixed: gain of the new color, {role}",
                    bounds=SHARE,
                )
                for role in ("noun", "other noun")
            ),
        ),
        notes=_leaks(seen(FIXED, "other noun")),
    )


def _leaks(others: pd.DataFrame) -> tuple[str, ...]:
    """Count the other nouns that took on the new color; a mean over values that are mostly zero hides them."""
    known = others.dropna(subset=["new_color"])
    some = known[known["new_color"] > _SOME]
    which = ", ".join(
        f"{row.new_color:.0%} in {row.prompt!r} with {row.adjective!r} swapped"
        for row in some.sort_values("new_color", ascending=False).head(3).itertuples()
    )
    return (
        f"After {len(some)} of {len(known)} swaps with the layout held fixed, more than {_SOME:.0%} of the other "
        f"noun's pixels had the new color" + (f" (the largest shares: {which})." if which else "."),
    )
