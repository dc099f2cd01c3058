"""Summaries of the pair table. Prompts are the sample: pairs are nested in images, images in prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.inference.checks import check_level, check_table
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.estimation import Clusters, estimate_difference, estimate_mean
from daam_syntax.analysis.inference.multiplicity import Correction, adjust_p
from daam_syntax.maps.measures import BINDING_MEASURES, PAIR_MEASURES

SUMMARY_COLUMNS: Final = {
    "n_prompts": "Prompts with at least one measured pair: the sample",
    "n_images": "Images with at least one measured pair",
    "n_pairs": "Measured pairs",
    "n_missing": "Pairs that could not be measured; their rows in the pair table say why",
    "low": "Low end of the interval of the mean of the measure that was chosen",
    "high": "High end of that interval",
    "difference": "Mean minus that of the control, in the prompts that have both",
    "difference_low": "Low end of the interval of the difference",
    "difference_high": "High end of that interval",
    "effect_size": "The difference over its standard deviation between prompts (dz)",
    "p": "p-value of no difference",
    "p_adjusted": "The same, corrected for the number of groups of its scheme and threshold",
    "n_paired": "Prompts that the difference rests on; missing for the control",
    "note": "Why there is no interval or no difference",
}
"""Columns that a summary has beside its groups and the means of the measures."""

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

    A mean is taken over the pairs of an image, then over the images of a prompt, then over prompts, so that a prompt
    with many pairs or seeds counts once. Intervals and tests take prompts as the sample: see `estimate_mean` and
    `estimate_difference`.

    Parameters
    ----------
    pairs
        A pair table, see `measure_pairs`; or a table like it, such as that of `binding_table`.
    by
        Column, or columns, that make the groups.
    measure
        The measure that counts, intervals and tests are about.
    control
        The kind of pairs that every other group is compared with. Control pairs of the same scheme and threshold count,
        and of the same group in all columns of `by` but the relation; in that too where the control's rows name the
        relations they were made for.
    cluster
        What is independent, see `estimate_mean`.
    level
        Confidence level of the intervals.
    correction
        For the number of groups within a scheme and threshold: "holm", "bh" or "none".
    seed
        Of bootstraps and permutations.

    Returns
    -------
    pandas.DataFrame
        One row per kind, scheme, threshold and group, the control first, then the groups with most pairs: the
        columns of `SUMMARY_COLUMNS` and the mean of every measure over the same ``n_pairs``. How it was made is in
        its ``attrs``.

    Raises
    ------
    ValueError
        If the table lacks a column.
    """
    check_table(pairs)
    check_level(level)
    if not isinstance(measure, str):
        raise TypeError(
            f"Expected one measure by name, but got {measure!r}: the means of all are in every summary, "
            "intervals and tests are about one."
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
    pairs = pairs.reset_index(drop=True)  # of joined tables, rows may share their labels
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
    # dropna=False: a group without a name, such as images of unknown seeds, is a group too.
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
    """Yield each group's rows, in the order of `_means`, with its control's; None for a control."""
    controls = pairs[pairs["kind"] == control]
    named = "relation" in by and not controls["relation"].eq(control).all()
    shared = [*_RULE, *(c for c in by if c not in (*_RULE, "kind", "relation"))]
    shared += ["relation"] if named else []
    shared = list(dict.fromkeys(shared))
    # Codes, because missing values (unknown seeds) are equal here, and are not with ==.
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
