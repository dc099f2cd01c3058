"""Overlap over a range of thresholds, so that no conclusion hangs on one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.inference.estimators import estimate_mean
from daam_syntax.analysis.tables.image_batches import Size
from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.errors import ThresholdError
from daam_syntax.maps import HeatMaps, Threshold
from daam_syntax.maps.measures import PAIR_MEASURES, choose
from daam_syntax.maps.thresholds import RULES_OF_VALUES

SWEEP_VALUES: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05 to 0.95: for rules whose parameter is a share."""

CURVE_COLUMNS: Final = {
    "scheme": "Whose edges",
    "kind": '"dependency" or "unrelated" (the control)',
    "rule": "Kind of the threshold rule, such as relative",
    "value": "Its parameter",
    "threshold": "Both, as in the pair table",
    "measure": "Name of the measure",
    "n_prompts": "Prompts with a measured pair: the sample",
    "n_pairs": "Measured pairs",
    "mean": "Mean of the measure over prompts; missing where no pair could be measured",
    "low": "Low end of its interval",
    "high": "High end of its interval",
}
"""Columns of a sweep's curves, beside those that make the groups."""


def sweep(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    rule: str = "relative",
    values: Iterable[float] = SWEEP_VALUES,
    measures: str | Iterable[str] = ("iou", "iod", "ioh", "lift"),
    schemes: str | Sequence[str] | None = None,
    size: Size = "image",
    unrelated: bool = True,
) -> pd.DataFrame:
    """Measure every pair at a range of thresholds.

    Parameters
    ----------
    maps
        The maps of one image, or of several.
    rule
        Kind of the rule: "relative", "absolute", "minmax" or "quantile".
    values
        Its parameters; at least two. The default suits rules that are relative to each map; absolute cuts are mean
        attention probabilities, usually far smaller.
    measures
        Names of measures of masks, of `PAIR_MEASURES`.
    schemes, size, unrelated
        As in `measure_pairs`; its own schemes if None.

    Returns
    -------
    pandas.DataFrame
        A pair table with one row per pair and threshold, and the columns ``rule`` and ``value`` after ``threshold``.
        `sweep_curves` makes curves of it, `sweep_auc` one number per pair.

    Raises
    ------
    ThresholdError
        If there is no such rule, or a value is out of its range.
    ValueError
        If there are fewer than two values, or a measure needs no mask.
    """
    if rule not in RULES_OF_VALUES:
        raise ThresholdError(
            f"Expected the kind of a rule, {', '.join(RULES_OF_VALUES)}, without its value (values= has several), but "
            f"got {rule!r}."
        )
    thresholds = [Threshold(rule, float(value)) for value in sorted(set(values))]
    if len(thresholds) < 2:
        raise ValueError(f"Expected at least two values to sweep over, but got {len(thresholds)}.")
    chosen = choose(measures, PAIR_MEASURES)
    soft = [measure.name for measure in chosen if measure.kind != "binary"]
    if soft:
        raise ValueError(f"Expected measures of masks, but {', '.join(soft)} needs no threshold.")
    options: dict[str, Any] = {} if schemes is None else {"schemes": schemes}
    table = measure_pairs(
        maps,
        threshold=thresholds,
        measures=[measure.name for measure in chosen],
        size=size,
        unrelated=unrelated,
        **options,
    )
    number_of = {str(threshold): threshold.value for threshold in thresholds}
    place = list(table.columns).index("threshold") + 1
    table.insert(place, "rule", rule)
    table.insert(place + 1, "value", table["threshold"].map(number_of).astype(float))
    return table


def sweep_curves(
    swept: pd.DataFrame, by: str | Sequence[str] = "relation", **options: Any
) -> pd.DataFrame:
    """Average each group of pairs at each threshold, with intervals.

    Parameters
    ----------
    swept
        What `sweep` gives.
    by
        Column, or columns, that make the groups.
    **options
        How intervals are made, see `estimate_mean`: ``level``, ``cluster``, ``n_resamples``, ``seed``.

    Returns
    -------
    pandas.DataFrame
        One row per scheme, kind, group, threshold and measure, with the columns of `CURVE_COLUMNS`:
        `daam_syntax.figures.threshold_sweep` draws it.

    Raises
    ------
    ValueError
        If the table is no sweep.
    """
    wanted = [by] if isinstance(by, str) else list(by)
    _check(swept, wanted)
    groups = list(dict.fromkeys(["scheme", "kind", *wanted, "rule", "value", "threshold"]))
    rows = []
    for values, pairs in swept.groupby(groups, sort=False, dropna=False):
        group = dict(zip(groups, values, strict=True))
        for measure in _measures(swept):
            bounds = PAIR_MEASURES[measure].low, PAIR_MEASURES[measure].high
            found = estimate_mean(pairs, measure, **{"bounds": bounds, **options})
            rows.append(
                group
                | {
                    "measure": measure,
                    "n_prompts": found.n_prompts,
                    "n_pairs": found.n_pairs,
                    "mean": found.estimate,
                    "low": found.low,
                    "high": found.high,
                }
            )
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*groups, *CURVE_COLUMNS])))


def sweep_auc(swept: pd.DataFrame) -> pd.DataFrame:
    """Reduce each pair's curve to the area under it, over the width of the sweep.

    That is the mean height of the curve (trapezoidal rule), in the range of the measure: a choice of threshold less. It
    depends on the range that was swept, which ``threshold`` says.

    Parameters
    ----------
    swept
        What `sweep` gives.

    Returns
    -------
    pandas.DataFrame
        One row per pair, with the columns of the pair table, so that `summarize` takes it. A pair that cannot be
        measured at one of the thresholds is a row with NaN and the reason: the area under part of a curve would not be
        comparable.

    Raises
    ------
    ValueError
        If the table is no sweep, or pairs lack thresholds.
    """
    _check(swept, [])
    columns = [name for name in swept.columns if name not in ("rule", "value")]
    if swept.empty:
        return swept[columns]
    # Two words may be joined by several relations: a pair is its place among the rows of its threshold.
    image = ["prompt_id", "image", "scheme"]
    pair = swept.groupby([*image, "threshold"], dropna=False).cumcount()
    ordered = swept.assign(_pair=pair).sort_values([*image, "_pair", "value"], kind="stable")
    values = np.unique(swept["value"])
    if len(ordered) % len(values) or not np.array_equal(
        ordered["value"].to_numpy().reshape(-1, len(values)),
        np.broadcast_to(values, (len(ordered) // len(values), len(values))),
    ):
        raise ValueError(
            "Expected every pair of the sweep at every threshold, but some are missing."
        )
    table = ordered.iloc[:: len(values)].copy()
    for measure in _measures(swept):
        heights = ordered[measure].to_numpy(float).reshape(-1, len(values))
        table[measure] = np.trapezoid(heights, values, axis=1) / (values[-1] - values[0])
    reasons = ordered["reason"].to_numpy().reshape(-1, len(values))
    table["reason"] = ["; ".join(dict.fromkeys(filter(None, row))) for row in reasons]
    ends = [np.format_float_positional(values[place], trim="-") for place in (0, -1)]
    table["threshold"] = f"{swept['rule'].iloc[0]}:{ends[0]}-{ends[1]}"
    return table.sort_index()[columns].reset_index(drop=True)


def _measures(swept: pd.DataFrame) -> list[str]:
    return [name for name in swept.columns if name in PAIR_MEASURES]


def _check(swept: pd.DataFrame, more: Sequence[str]) -> None:
    needed = ["prompt_id", "image", "scheme", "kind", "threshold", "rule", "value", "reason", *more]
    missing = [name for name in needed if name not in swept.columns]
    if missing:
        raise ValueError(
            f"Expected a table that `sweep` made, but it lacks the columns {', '.join(missing)}."
        )
    if swept["rule"].nunique() > 1:
        raise ValueError(
            f"Expected a sweep over one rule, but got {', '.join(swept['rule'].unique())}."
        )
