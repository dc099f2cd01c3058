"""Summaries of the pair table, with prompts as the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.checks import check_level, check_table
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.estimators import estimate_difference, estimate_mean
from daam_syntax.analysis.inference.multiplicity import Correction, adjust_p
from daam_syntax.analysis.inference.sample import Clusters
from daam_syntax.maps.measures import BINDING_MEASURES, PAIR_MEASURES

SUMMARY_COLUMNS: Final = {
    "n_prompts": "Prompts with at least one measured pair: the sample",
    "n_images": "Images with at least one measured pair",
    "n_pairs": "Measured pairs",
    "n_missing": "Pairs that could not be measured; the pair table gives the reasons",
    "low": "Low end of the interval of the mean of the chosen measure",
    "high": "High end of that interval",
    "difference": "Mean minus the mean of the control, over prompts that have both",
    "difference_low": "Low end of the interval of the difference",
    "difference_high": "High end of that interval",
    "effect_size": "Difference divided by its standard deviation between prompts (d_z)",
    "p": "p-value of no difference",
    "p_adjusted": "p, corrected for the number of groups within the scheme and threshold",
    "n_paired": "Number of prompts in the paired difference; missing for the control",
    "note": "Why there is no interval or no difference",
}
"""Columns of a summary in addition to its groups and the means of the measures."""

_RULE: Final = ["scheme", "threshold"]


def summarize(
    pairs: pd.DataFrame,
    by: str | Sequence[str] = "relation",
    *,
    measure: str = "iou",
    control: str = "unrelated",
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    correction: Correction = "holm",
    seed: int = 0,
) -> pd.DataFrame:
    """Average the measures of each group of pairs, and compare each group with its control.

    Means are taken over the pairs of an image, then over the images of a prompt, then over prompts, so a prompt with
    many pairs or seeds counts once. Intervals and tests use prompts as the sample, see `estimate_mean` and
    `estimate_difference`. The p-values come from flipping the signs of the differences of prompts, or of the clusters
    of another single column; with two-way clusters they come from a t-test.

    Parameters
    ----------
    pairs
        A pair table, see `measure_pairs`, or a similar table, such as that of `binding_table`.
    by
        Column or columns that define the groups.
    measure
        Measure of the counts, intervals and tests.
    control
        Kind of the control pairs. Each group is compared with the control pairs of the same scheme, threshold and
        values of `by` other than the relation. If the control's rows name the relations that they were made for, the
        relation must match too.
    cluster
        The independent units, see `estimate_mean`.
    level
        Confidence level of the intervals.
    correction
        Correction for the number of groups within a scheme and threshold: "holm", "bh" or "none".
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
        If the table lacks a column.
    """
    check_table(pairs)
    check_level(level)
    if not isinstance(measure, str):
        raise TypeError(
            f"Expected the name of one measure, but got {measure!r}: choose the one for intervals and tests; "
            "a summary has the means of all measures."
        )
    wanted = [by] if isinstance(by, str) else list(by)
    groups = [*dict.fromkeys(["kind", *_RULE, *wanted])]
    means = [name for name in (*PAIR_MEASURES, *BINDING_MEASURES) if name in pairs.columns]
    missing = [c for c in [*groups, "prompt_id", "image", measure] if c not in pairs.columns]
    if missing:
        raise ValueError(
            f"Expected a pair table with the columns {', '.join(missing)}, but it has only "
            f"{', '.join(pairs.columns)}."
        )
    pairs = pairs.reset_index(drop=True)  # concatenated tables can repeat labels
    options: dict[str, Any] = {"cluster": cluster, "level": level, "seed": seed}
    table = _means(pairs, groups, means, measure)
    inferred = [
        _inference(rows, reference, measure, options)
        for rows, reference in _groups(pairs, groups, wanted, control)
    ]
    added = [name for name in SUMMARY_COLUMNS if name not in table.columns and name != "p_adjusted"]
    table = pd.concat(
        [table, pd.DataFrame(inferred, columns=added, index=table.index)], axis="columns"
    )
    adjusted = table.groupby(_RULE, dropna=False)["p"].transform(lambda p: adjust_p(p, correction))
    table.insert(list(table.columns).index("p") + 1, "p_adjusted", adjusted.astype(float))
    table["n_paired"] = table["n_paired"].astype("Int64")
    table["_control"] = table["kind"] == control
    order = [*_RULE, "_control", "n_pairs"]
    table = table.sort_values(order, ascending=[True, True, False, False], kind="stable")
    table = table.drop(columns="_control").reset_index(drop=True)
    table.attrs = {
        "measure": measure,
        "control": control,
        "cluster": cluster if isinstance(cluster, str) else list(cluster),
        "level": level,
        "correction": correction,
    }
    return table


def _means(pairs: pd.DataFrame, groups: list[str], means: list[str], measure: str) -> pd.DataFrame:
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


def _groups(
    pairs: pd.DataFrame, groups: list[str], by: list[str], control: str
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame | None]]:
    """Yield the rows of each group with those of its control (None for a control), in the order of `_means`."""
    controls = pairs[pairs["kind"] == control]
    named = "relation" in by and not controls["relation"].eq(control).all()
    shared = [*_RULE, *(c for c in by if c not in (*_RULE, "kind", "relation"))]
    shared += ["relation"] if named else []
    shared = list(dict.fromkeys(shared))
    # Compare codes: missing values, such as unknown seeds, match as codes but not with ==.
    codes = pairs.groupby(shared, dropna=False).ngroup()
    for _, rows in pairs.groupby(groups, dropna=False):
        if (rows["kind"] == control).all():
            yield rows, None
        else:
            yield rows, controls[codes[controls.index] == codes[rows.index[0]]]


def _inference(
    rows: pd.DataFrame, control: pd.DataFrame | None, measure: str, options: dict[str, Any]
) -> dict[str, Any]:
    mean = estimate_mean(rows, measure, **options)
    found: dict[str, Any] = {"low": mean.low, "high": mean.high, "note": mean.reason}
    if control is None:
        return found
    if control[measure].notna().sum() == 0:
        return found | {
            "note": "; ".join(filter(None, [mean.reason, "no control to compare with"]))
        }
    difference = estimate_difference(rows, control, measure, **options)
    return found | _difference(difference, mean.reason)


def _difference(difference: Estimate, reason: str) -> dict[str, Any]:
    notes = [reason]
    if difference.reason != reason:
        notes.append(difference.reason and f"difference: {difference.reason}")
    return {
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "effect_size": difference.effect_size,
        "p": difference.p,
        "n_paired": difference.n_prompts,
        "note": "; ".join(filter(None, notes)),
    }
