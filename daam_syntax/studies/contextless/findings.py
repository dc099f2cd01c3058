"""Findings of the study of contextless words: what carries color, number, and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.studies.contextless.conditions import (
    COLOR,
    ITSELF,
    LABELS,
    NUMBER,
    PLACE,
    SPECIAL,
    TEXT,
)
from daam_syntax.studies.contextless.outcomes import BOTH, OTHER, OWN
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.util.wording import plural

TAKING: Final = (
    "padding",
    "attention",
    "alone",
    "attention, alone",
    "attention, alone, special",
)
"""Conditions that take a color away."""
BRINGING: Final = (
    "other color word",
    "other noun",
    "other words",
    TEXT,
)
"""Conditions that bring another color."""
COUNTED: Final = ("and", "second article")
NOUNS: Final = ("first noun", "second noun")
TURNING: Final[Mapping[str, str]] = dict.fromkeys(
    ("place", "last noun", "other words", TEXT, "first noun mirrored"),
    "last article",
)
"""Conditions that say the opposite of a place, and the control of each."""
REMOVING: Final[Mapping[str, str]] = {
    "place padding": "last article padding",
    "last noun alone": "first noun alone",
    "place padding, last noun alone": "first noun alone",
    "place padding, last noun alone, special": SPECIAL,
}
"""Conditions that take a place away, and the control of each."""

PLACES: Final = tuple(dict.fromkeys((*TURNING, *TURNING.values(), *REMOVING, *REMOVING.values())))

_CHANGE: Final = "change of the image (0 to 1)"


def make_findings(table: pd.DataFrame) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    table
        The rows of `daam_syntax.studies.contextless.outcomes.rows_of`.
    """
    made = []
    if "kept" in table and table["kept"].notna().any():
        made += [*_of_color(table), *_of_place(table)]
    if "shown" in table and table.loc[table["question"] == NUMBER, "shown"].notna().any():
        made.append(_of_number(table))
    made.append(_of_changes(table))
    return made


def select(
    table: pd.DataFrame, question: str, condition: str, role: str, measure: str
) -> pd.DataFrame:
    """Return the rows of a condition and a role that have a measure."""
    if measure not in table:
        return table.iloc[:0]
    is_chosen = (
        (table["question"] == question)
        & (table["condition"] == condition)
        & (table["role"] == role)
        & table[measure].notna()
    )
    return table[is_chosen]


def _of_color(table: pd.DataFrame) -> Iterator[Finding]:
    for measure, names, title, unit in (
        (
            "kept",
            TAKING,
            "What takes a noun's color away",
            "share of the objects still shown that keep the color that their color word names",
        ),
        (
            "taken",
            BRINGING,
            "What brings a noun another color",
            "share of the objects still shown that take the color of the other prompt",
        ),
    ):
        estimates, notes = [], []
        for name in names:
            own, other = (select(table, COLOR, name, role, measure) for role in (OWN, OTHER))
            if len(own):
                notes.append(_share(own, measure, LABELS[name]) + _lost(table, COLOR, name, OWN))
            if len(own) and len(other):
                label = f"{LABELS[name]}, edited noun minus the prompt's other noun"
                estimates.append(
                    estimate_difference(own, other, measure, label=label, bounds=SHARE)
                )
        if measure == "taken":
            notes += _of_ceiling(table, COLOR, OWN, BRINGING)
        special = select(table, COLOR, SPECIAL, BOTH, measure)
        if measure == "kept" and len(special):
            notes.append(
                _share(special, measure, LABELS[SPECIAL]) + _lost(table, COLOR, SPECIAL, BOTH)
            )
        if notes:
            yield Finding(title, unit, tuple(estimates), notes=tuple(notes))


def _of_number(table: pd.DataFrame) -> Finding:
    estimates, notes = [], []
    control = select(table, NUMBER, "second article", BOTH, "shown")
    for name in COUNTED:
        rows = select(table, NUMBER, name, BOTH, "shown")
        if len(rows):
            notes.append(_share(rows, "shown", LABELS[name]))
        if len(rows) and len(control) and name != "second article":
            label = f"both nouns shown, {LABELS[name]}, minus second article"
            estimates.append(estimate_difference(rows, control, "shown", label=label, bounds=SHARE))
    for name in NOUNS:
        own, other = (select(table, NUMBER, name, role, "shown") for role in (OWN, OTHER))
        if len(own):
            notes.append(_share(own, "shown", f"{LABELS[name]}, that noun"))
            notes.append(_share(other, "shown", f"{LABELS[name]}, the other noun"))
            label = f"{LABELS[name]}, that noun shown minus the other noun"
            estimates.append(estimate_difference(own, other, "shown", label=label, bounds=SHARE))
    unit = "share of the images that still show the nouns"
    return Finding("What keeps two things in the image", unit, tuple(estimates), notes=tuple(notes))


def _of_place(table: pd.DataFrame) -> Iterator[Finding]:
    for measure, conditions, title, unit in (
        (
            "taken",
            TURNING,
            "What turns two things around",
            "share of the images that show both nouns in which the first is on the opposite side",
        ),
        (
            "kept",
            REMOVING,
            "What takes the order of two things away",
            "share of the images that show both nouns in which the first is where the prompt says",
        ),
    ):
        estimates, notes = [], []
        for name in dict.fromkeys((*conditions, *conditions.values())):
            rows = select(table, PLACE, name, BOTH, measure)
            if not len(rows):
                continue
            notes.append(_share(rows, measure, LABELS[name]) + _lost(table, PLACE, name, BOTH))
            control = select(table, PLACE, conditions.get(name, ""), BOTH, measure)
            if len(control):
                label = f"{LABELS[name]}, minus {LABELS[conditions[name]]}"
                estimates.append(
                    estimate_difference(rows, control, measure, label=label, bounds=SHARE)
                )
        if measure == "taken":
            notes += _of_ceiling(table, PLACE, BOTH, (*TURNING, "last article"))
        if notes:
            yield Finding(title, unit, tuple(estimates), notes=tuple(notes))


def _of_changes(table: pd.DataFrame) -> Finding:
    """Estimate how far edits change the image, and, for colors, the edited noun's region more than the other's."""
    estimates = []
    for name in (*TAKING, *BRINGING):
        own, other = (select(table, COLOR, name, role, "change_in_noun") for role in (OWN, OTHER))
        if len(own) and len(other):
            label = f"{LABELS[name]}, in the mask of the edited noun minus in that of the other"
            estimates.append(
                estimate_difference(own, other, "change_in_noun", label=label, bounds=SHARE)
            )
        elif len(own):
            estimates.append(
                estimate_mean(
                    own, "change_in_noun", label=f"{LABELS[name]}, in the noun's mask", bounds=SHARE
                )
            )
    for question, names in (
        (NUMBER, (*COUNTED, *NOUNS)),
        (PLACE, PLACES),
    ):
        for name in names:
            rows = select(table, question, name, BOTH, "change")
            if len(rows):
                label = f"{question}: {LABELS[name]}, whole image"
                estimates.append(estimate_mean(rows, "change", label=label, bounds=SHARE))
    same = table[table["condition"] == ITSELF]
    notes = []
    if len(same):
        largest = same["change"].max()
        notes.append(
            f"Every word's vector replaced by itself changes the image by at most {largest:g}, in "
            f"{same['image'].nunique()} images."
        )
    refused = table[table["reason"] != ""]
    if len(refused):
        notes.append(
            f"{len(refused)} rows lack an image, because the edit is refused: {'; '.join(refused['reason'].unique())}"
        )
    return Finding("Size of the change", _CHANGE, tuple(estimates), notes=tuple(notes), digits=4)


def _of_ceiling(
    table: pd.DataFrame, question: str, role: str, names: Iterable[str]
) -> Iterator[str]:
    """Report how often edits bring what the other prompt itself brings, which is the most that they can."""
    cases = ["image", "noun"]
    text = select(table, question, TEXT, role, "taken")
    able = text.loc[text["taken"] == 1, cases]
    if not len(able):
        return
    parts = []
    for name in names:
        rows = select(table, question, name, role, "taken").merge(able, on=cases)
        if name != TEXT and len(rows):
            parts.append(f"{LABELS[name]}, {rows['taken'].sum():g}")
    yield (
        f"Drawing the other prompt from the same noise brings this in {plural(len(able), 'case')}. Of these, edits "
        f"bring it in: {'; '.join(parts)}."
    )


def _share(rows: pd.DataFrame, measure: str, label: str) -> str:
    """Report a share over prompts with its exact interval: shares of 0 and 1 have no other one."""
    means = rows.groupby("prompt_id")[measure].mean()
    n, mean = len(means), float(means.mean())
    low, high = proportion_confint(round(mean * n), n, method="beta")
    return (
        f"{label[:1].upper()}{label[1:]}: {rows[measure].sum():g} of {plural(len(rows), 'case')}, of "
        f"{plural(n, 'prompt')} (mean over prompts {mean:.2f}, 95% interval {low:.2f} to {high:.2f}, Clopper and "
        f"Pearson 1934)."
    )


def _lost(table: pd.DataFrame, question: str, name: str, role: str) -> str:
    """Say how many cases are not counted because a noun is no longer shown; "" if there are none."""
    rows = select(table, question, name, role, "shown")
    n_lost = int((rows["shown"] == 0).sum())
    return f" Not counted: {plural(n_lost, 'case')} in which a noun is lost." if n_lost else ""


def means_of(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return means over images, then over prompts."""
    measures = [
        name for name in ("change", "change_in_noun", "shown", "kept", "taken") if name in table
    ]
    in_image = table.groupby([*keys, "prompt_id", "image"], sort=False)[measures].mean()
    in_prompt = in_image.groupby(level=[*keys, "prompt_id"], sort=False).mean()
    means = in_prompt.groupby(level=list(keys), sort=False).mean()
    means.insert(0, "n_prompts", in_prompt.groupby(level=list(keys), sort=False).size())
    return means.reset_index()
