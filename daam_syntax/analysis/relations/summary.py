"""Summaries of the pair table, with prompts as the sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns, check_level, check_table
from daam_syntax.analysis.exchange.contrasts import TIERS
from daam_syntax.analysis.inference.differences import check_accepted
from daam_syntax.analysis.inference.sample import Clusters
from daam_syntax.analysis.inference.side_balance import OF_AREAS
from daam_syntax.analysis.relations.comparisons import (
    EXCHANGED,
    RULE,
    Comparison,
    PairComparison,
)
from daam_syntax.analysis.relations.displayed_summary import Summary
from daam_syntax.analysis.statistics.multiplicity import Correction, adjust_p
from daam_syntax.maps.measures import BINDING_MEASURES, PAIR_MEASURES
from daam_syntax.util.arguments.checks import NUMBER, OWN, checked, whole

SUMMARY_COLUMNS: Final = {
    "n_prompts": "Prompts with at least one measured pair: the sample",
    "n_images": "Images with at least one measured pair",
    "n_pairs": "Measured pairs",
    "n_missing": "Pairs that could not be measured; the pair table gives the reasons",
    "low": "Low end of the interval of the mean of the chosen measure",
    "high": "High end of that interval",
    "difference": "What the pairs have more than their control, over prompts that have both",
    "difference_low": "Low end of the interval of the difference",
    "difference_high": "High end of that interval",
    "effect": 'What the difference is due to: "relation", or for instance "relation plus distance" if the control does '
    "not have the same distances",
    "effect_size": "Mean of the prompts' differences divided by their standard deviation (d_z)",
    "p": "p-value of no difference; missing if the sides differ in anything but the relation, see the note",
    "p_adjusted": "p, corrected for the number of groups within the scheme and threshold that could have succeeded",
    "least_p": "Smallest p-value that this number of prompts could have given",
    "n_paired": "Number of prompts in the difference; missing for the control",
    "tier": "Kind of the exchange of partners: two-sided or one-sided",
    "matched": "Share of the pairs that have exchanged pairs of this kind",
    "corrected": "The difference by a measure that areas alone cannot move, see the attribute of that name",
    "corrected_low": "Low end of its interval",
    "corrected_high": "High end of that interval",
    "corrected_p": "p-value of no difference by that measure",
    "corrected_p_adjusted": "That p-value, corrected like p",
    "note": "Whether the two measures disagree; why there is no interval, no difference or no test",
}
"""Columns of a summary in addition to its groups and the means of the measures."""

CORRECTED: Final = "phi"
"""The measure beside one that areas move: 0 for independent masks of any areas."""


@checked(
    measure=OWN,
    n_resamples=whole(1, 10_000_000),
    seed=whole(0),
    level=NUMBER,
    pairs=OWN,
    cluster=OWN,
)
def summarize(
    pairs: pd.DataFrame,
    by: str | Sequence[str] = "relation",
    *,
    measure: str = "iou",
    control: str = EXCHANGED,
    tier: str | None = None,
    accept: str | Sequence[str] = (),
    corrected: str | None = CORRECTED,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    correction: Correction = "holm",
    symmetric: Sequence[str] = (),
    n_resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Average the measures of each group of pairs, and compare each group with its control.

    Means are taken over the pairs of an image, then over the images of a prompt, then over prompts, so a prompt with
    many pairs or seeds counts once. Intervals and tests use prompts as the sample, see `estimate_mean` and
    `estimate_difference`.

    Parameters
    ----------
    pairs
        A pair table, see `measure_pairs`, or a similar table, such as that of `binding_table`.
    by
        Column or columns that define the groups.
    measure
        Measure of the counts, intervals and tests.
    control
        "exchanged": the words of each pair with exchanged partners in the same image, see `exchange_partners`; needs
        the unrelated pairs of the table. Or a kind of the table's rows, such as "unrelated" or "matched"; then each
        group is compared with the control rows of the same scheme, threshold and values of `by` other than the
        relation. If the control's rows name the relations that they were made for, the relation must match too.
    tier
        Kind of the exchange, "two-sided" or "one-sided". None chooses for each group the strictest one that matches at
        least 20% of its pairs.
    accept
        Properties in which pairs and control may differ, such as "distance", or "all". The column ``effect`` then names
        them as part of the effect. Without it, such a difference is not tested. See `estimate_difference`.
    corrected
        Measure that areas alone cannot move, in columns of its own beside one that they can; None for none. A note
        says where the two disagree.
    cluster
        The independent units, see `estimate_mean`. With exchanged partners, structures of prompts (their parts of
        speech) are the units instead of prompts that share them, unless `accept` has "place": what exchanged places
        leave is the same in all prompts of a structure.
    level
        Confidence level of the intervals.
    correction
        Correction for the number of groups within a scheme and threshold: "holm", "bh" or "none", see `adjust_p`.
    symmetric
        Columns other than the measures of this package that do not depend on which word is the head, see
        `exchange_partners`.
    n_resamples
        Number of bootstrap samples, and largest number of patterns of sign flips.
    seed
        Seed of bootstraps and sign flips.

    Returns
    -------
    pandas.DataFrame
        One row per kind, scheme, threshold and group: first the control, then groups by number of pairs. It has the
        columns of `SUMMARY_COLUMNS` and the mean of every measure over the same ``n_pairs``. Its ``attrs`` record how
        it was made.

    Raises
    ------
    ValueError
        If the table lacks a column, or an argument is unknown.
    """
    check_table(pairs)
    check_level(level)
    accepted = check_accepted(accept)
    if tier is not None and tier not in TIERS:
        raise ValueError(f"Expected the tier {' or '.join(map(repr, TIERS))}, but got {tier!r}.")
    if not isinstance(measure, str):
        raise TypeError(
            f"Expected the name of one measure, but got {measure!r}: choose the one for intervals and tests; "
            "a summary has the means of all measures."
        )
    wanted = [by] if isinstance(by, str) else list(by)
    groups = [*dict.fromkeys(["kind", *RULE, *wanted])]
    means = [name for name in (*PAIR_MEASURES, *BINDING_MEASURES) if name in pairs.columns]
    check_columns(pairs, [*groups, "prompt_id", "image", measure])
    pairs = pairs.reset_index(drop=True)  # concatenated tables can repeat labels
    options: dict[str, Any] = {
        "cluster": cluster,
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
    }
    comparison = PairComparison(pairs, groups, wanted, control, tier, accepted, symmetric, options)
    return summary_table(
        group_means(pairs, groups, means, measure),
        comparison,
        measure=measure,
        beside=corrected if needs_correction(pairs.columns, measure, corrected) else None,
        correction=correction,
        control=control,
        cluster=cluster,
        level=level,
    )


def summary_table(
    table: pd.DataFrame,
    comparison: Comparison,
    *,
    measure: str,
    beside: str | None,
    correction: Correction,
    control: str,
    cluster: Clusters,
    level: float,
) -> pd.DataFrame:
    """Join the means of the groups with their comparisons.

    Parameters
    ----------
    table
        Counts and means of the groups.
    comparison
        Compares the groups, in the order of `table`.
    beside
        The corrected measure; None for none.
    measure, correction, control, cluster, level
        See `summarize`.
    """
    inferred = [name for name in SUMMARY_COLUMNS if name not in table.columns]
    found = pd.DataFrame(comparison.rows(measure), table.index).reindex(columns=inferred)
    if beside is not None:
        other = pd.DataFrame(comparison.rows(beside, means=False), table.index).reindex(
            columns=inferred
        )
        shown = {"difference": "", "difference_low": "_low", "difference_high": "_high", "p": "_p"}
        for name, suffix in shown.items():
            found[f"corrected{suffix}"] = other[name]
        found["_least"] = other["least_p"]
    table = table.join(found.reindex(columns=[*inferred, "_least"]))
    for name, least in (("p", "least_p"), ("corrected_p", "_least")):
        table[f"{name}_adjusted"] = _adjusted(table, name, least, correction)
    table["note"] = _notes(table, measure, beside, 1 - level)
    table["n_paired"] = table["n_paired"].astype("Int64")
    table["_control"] = table["kind"] == ("unrelated" if control == EXCHANGED else control)
    order = [*RULE, "_control", "n_pairs"]
    table = table.sort_values(order, ascending=[True, True, False, False], kind="stable")
    table = Summary(table.drop(columns=["_control", "_least"]).reset_index(drop=True))
    table.attrs = {
        "measure": measure,
        "control": control,
        "corrected": beside or "",
        "cluster": cluster if isinstance(cluster, str) else list(cluster),
        "level": level,
        "correction": correction,
    }
    return table


def needs_correction(columns: Iterable[str], measure: str, corrected: str | None) -> bool:
    """Return whether the corrected measure is shown beside the chosen one."""
    if corrected is None or corrected == measure or corrected not in set(columns):
        return False
    known = PAIR_MEASURES.get(measure)
    return known is not None and not known.area_free and measure not in OF_AREAS


def _adjusted(table: pd.DataFrame, name: str, least: str, correction: Correction) -> pd.Series:
    adjusted = pd.Series(np.nan, index=table.index)
    for _, rows in table.groupby(RULE, dropna=False):
        values = adjust_p(rows[name].to_numpy(float), correction, least=rows[least].to_numpy(float))
        adjusted.loc[rows.index] = values
    return adjusted


def _notes(table: pd.DataFrame, measure: str, corrected: str | None, alpha: float) -> list[str]:
    """Return the notes, with a disagreement of the two measures first."""
    notes = []
    for row in table.to_dict("records"):
        parts = []
        if corrected is not None:
            found = row["p_adjusted"] <= alpha
            other = row["corrected_p_adjusted"] <= alpha
            if row["difference"] * row["corrected"] < 0 and (found or other):
                parts.append(f"{measure} and {corrected} differ in sign")
            elif found != other:
                only = measure if found else corrected
                parts.append(f"found by {only} only")
        notes.append("; ".join([*parts, *filter(None, [row["note"]])]))
    return notes


def group_means(
    pairs: pd.DataFrame, groups: list[str], means: list[str], measure: str
) -> pd.DataFrame:
    """Count the pairs of each group and average their measures."""
    measured = pairs[pairs[measure].notna()]
    # dropna=False, because rows with a missing value, such as an unknown seed, form a group too.
    table = pairs.groupby(groups, dropna=False).size().rename("n_rows").to_frame()
    images = list(dict.fromkeys([*groups, "prompt_id", "image"]))
    counts = measured.groupby(groups, dropna=False).agg(
        n_prompts=("prompt_id", "nunique"), n_pairs=(measure, "size")
    )
    distinct = measured[images].drop_duplicates().groupby(groups, dropna=False).size()
    counts.insert(1, "n_images", distinct)
    table = table.join(counts).fillna({"n_prompts": 0, "n_images": 0, "n_pairs": 0})
    table = table.astype({"n_prompts": int, "n_images": int, "n_pairs": int})
    table["n_missing"] = table.pop("n_rows") - table["n_pairs"]
    averages = measured.groupby(images, dropna=False)[means].mean()
    averages = averages.groupby(list(dict.fromkeys([*groups, "prompt_id"])), dropna=False).mean()
    averages = averages.groupby(groups, dropna=False).mean()
    return table.join(averages).reset_index()
