"""Findings of the study of words: how far, where, and what is left, beside the attention to each word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.word_classes import class_name
from daam_syntax.studies.words.deletions import (
    ATTENTION,
    CONDITIONS,
    EQUAL_MASS,
    TEXT,
    WORDS_ONLY,
)

CORRELATION: Final = (-1.0, 1.0)
"""Bounds of correlations."""

_LARGE: Final = "change of the image (0 to 1)"


def make_findings(table: pd.DataFrame) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    table
        One row per image, word, and condition.
    """
    of = {str(name): rows for name, rows in table.groupby("condition")}
    findings = [
        Finding("Size of the change, attention deleted", _LARGE, tuple(_sizes(of))),
        Finding("Size of the change, left out of the text", _LARGE, tuple(_in_text(of))),
        Finding(
            "Attention and change",
            "rank correlation over the words of an image (−1 to 1)",
            tuple(_agreements(of)),
        ),
        Finding("Place of the change", "correlation over pixels (−1 to 1)", tuple(_places(of))),
    ]
    if "fewer" in table:
        findings += [_of_objects(of), _of_colors(of)]
    return findings


def _classes_in(table: pd.DataFrame) -> list[str]:
    """Return the classes of words, those that change the image most first."""
    means = table.groupby("class")["change"].mean().sort_values(ascending=False)
    return [str(name) for name in means.index]


def _named(name: str) -> str:
    return class_name(name, many=True)


def _sizes(of: dict[str, pd.DataFrame]) -> Iterator[Estimate]:
    for name in _classes_in(of[ATTENTION]):
        own, control = (rows[rows["class"] == name] for rows in (of[ATTENTION], of[EQUAL_MASS]))
        yield estimate_mean(own, "change", label=_named(name), bounds=SHARE)
        label = f"{_named(name)}, word minus equal mass"
        yield estimate_difference(own, control, "change", label=label, bounds=SHARE)


def _in_text(of: dict[str, pd.DataFrame]) -> Iterator[Estimate]:
    if TEXT not in of:
        return
    for name in _classes_in(of[ATTENTION]):
        rows = of[TEXT][of[TEXT]["class"] == name]
        if len(rows):
            own = of[ATTENTION][of[ATTENTION]["class"] == name]
            yield estimate_mean(rows, "change", label=_named(name), bounds=SHARE)
            label = f"{_named(name)}, left out of the text minus attention deleted"
            yield estimate_difference(rows, own, "change", label=label, bounds=SHARE)


def _agreements(of: dict[str, pd.DataFrame]) -> Iterator[Estimate]:
    """Estimate rank correlations, and test each against 0, its mean if the words of an image are exchanged."""
    for condition in (ATTENTION, TEXT, EQUAL_MASS):
        if condition in of:
            found = rank_correlations(of[condition])
            label = CONDITIONS[condition]
            yield estimate_difference(
                found,
                found.assign(agreement=0.0),
                "agreement",
                label=f"attention and change, {label}",
                bounds=CORRELATION,
            )


def rank_correlations(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, for each image, Spearman's correlation of attention and change over its words.

    Returns
    -------
    pandas.DataFrame
        Columns ``prompt_id``, ``image``, and ``agreement``, which is NaN for fewer than three words.
    """
    found = [
        {
            "prompt_id": prompt,
            "image": image,
            "agreement": words["attention"].corr(words["change"], method="spearman")
            if len(words) > 2
            else float("nan"),
        }
        for (prompt, image), words in rows.groupby(["prompt_id", "image"], sort=False)
    ]
    return pd.DataFrame(found)


def _places(of: dict[str, pd.DataFrame]) -> Iterator[Estimate]:
    rows = of[ATTENTION]
    for name in _classes_in(rows):
        own = rows[rows["class"] == name]
        yield estimate_difference(
            own,
            own.assign(own_map=own["other_maps"]),
            "own_map",
            label=f"{_named(name)}, own map minus maps of the image's other words",
            bounds=CORRELATION,
        )


def _of_objects(of: dict[str, pd.DataFrame]) -> Finding:
    """Estimate how often fewer objects are left, by class, in images that show several."""
    estimates = []
    for name in _classes_in(of[ATTENTION]):
        own, control, text = (
            of[condition][(of[condition]["class"] == name) & of[condition]["fewer"].notna()]
            if condition in of
            else pd.DataFrame()
            for condition in (ATTENTION, EQUAL_MASS, TEXT)
        )
        if len(own):
            label = f"{_named(name)}, attention deleted"
            estimates.append(estimate_mean(own, "fewer", label=label, bounds=SHARE))
            label = f"{_named(name)}, word minus equal mass"
            estimates.append(estimate_difference(own, control, "fewer", label=label, bounds=SHARE))
        if len(text):
            label = f"{_named(name)}, left out of the text"
            estimates.append(estimate_mean(text, "fewer", label=label, bounds=SHARE))
    unit = "share of the images that have fewer objects than before"
    notes = () if estimates else ("No image shows several objects that do not touch.",)
    return Finding("Objects lost", unit, tuple(estimates), notes=notes)


def _of_colors(of: dict[str, pd.DataFrame]) -> Finding:
    """Report how often an object keeps the color that its color word names, by condition."""
    kept = {name: rows[rows["color_kept"].notna()] for name, rows in of.items()}
    notes = []
    for condition in (ATTENTION, WORDS_ONLY, EQUAL_MASS, TEXT):
        rows = kept.get(condition, pd.DataFrame())
        if len(rows):
            notes.append(_share(rows, CONDITIONS[condition]))
            last = rows[rows["noun_is_last"]]
            if condition == WORDS_ONLY and len(last):
                notes.append(
                    f"In {len(last)} of these cases the noun is the last word, so in a text encoder that reads from "
                    "left to right its token alone can hold the color. The color is kept in "
                    f"{last['color_kept'].sum():g} of them."
                )
    estimates = []
    if ATTENTION in kept and TEXT in kept and len(kept[TEXT]):
        estimates.append(
            estimate_difference(
                kept[ATTENTION],
                kept[TEXT],
                "color_kept",
                label="color words, attention deleted minus left out of the text",
                bounds=SHARE,
            )
        )
    if not notes:
        notes.append("No color word of the prompts names the color of an object in its image.")
    return Finding(
        "Colors kept",
        "share of the objects that keep the color that their color word names",
        tuple(estimates),
        notes=tuple(notes),
    )


def _share(rows: pd.DataFrame, label: str) -> str:
    """Report a share of prompts with its exact interval: shares of 0 and 1 have no other one."""
    means = rows.groupby("prompt_id")["color_kept"].mean()
    n, mean = len(means), float(means.mean())
    low, high = proportion_confint(round(mean * n), n, method="beta")
    return (
        f"{label[:1].upper()}{label[1:]}: the color is kept in {rows['color_kept'].sum():g} of {len(rows)} cases, of "
        f"{n} prompts (mean over prompts {mean:.2f}, 95% interval {low:.2f} to {high:.2f}, Clopper and Pearson 1934)."
    )
