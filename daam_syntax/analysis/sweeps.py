"""Overlap over a range of thresholds, to check that no conclusion depends on one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.inference.means import estimate_mean
from daam_syntax.analysis.tables.image_batches import Size
from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.errors import ThresholdError
from daam_syntax.maps import HeatMaps, Threshold
from daam_syntax.maps.measures import PAIR_MEASURES, choose
from daam_syntax.maps.thresholds import RULES_OF_VALUES
from daam_syntax.util.arguments.checks import OWN, checked

SWEEP_VALUES: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05 to 0.95, for rules whose parameter is a share."""

CURVE_COLUMNS: Final = {
    "scheme": "Dependency scheme of the edges",
    "kind": '"dependency" or "unrelated" (the control)',
    "rule": "Kind of the threshold rule, such as relative",
    "value": "Parameter of the rule",
    "threshold": "Rule with its parameter, as in the pair table",
    "measure": "Name of the measure",
    "n_prompts": "Number of prompts with a measured pair: the sample",
    "n_pairs": "Number of measured pairs",
    "mean": "Mean of the measure over prompts; missing if no pair could be measured",
    "low": "Lower end of the interval of the mean",
    "high": "Upper end of the interval of the mean",
}
"""Columns of the curves of a sweep, besides the columns that form the groups."""


@checked(maps=OWN)
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
    """Measure every pair over a range of thresholds.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    rule
        Kind of the threshold rule: "relative", "absolute", "minmax", or "quantile".
    values
        At least two parameters of the rule. The default suits rules that are relative to each map. Absolute cuts are
        mean attention probabilities, which are usually much smaller.
    measures
        Names of measures of masks, among `PAIR_MEASURES`.
    schemes, size, unrelated
        See `measure_pairs`, whose default schemes are used if None.

    Returns
    -------
    pandas.DataFrame
        A pair table with one row per pair and threshold, and with the columns ``rule`` and ``value`` after
        ``threshold``. `sweep_curves` averages it to curves, and `sweep_auc` reduces it to one number per pair.

    Raises
    ------
    ThresholdError
        If the rule is unknown, or a value is out of range.
    ValueError
        If there are fewer than two values, or a measure needs no masks.
    """
    if rule not in RULES_OF_VALUES:
        raise ThresholdError(
            f"Expected the kind of a rule, {', '.join(RULES_OF_VALUES)}, without its value, but got {rule!r}: pass the "
            "parameters as values=."
        )
    thresholds = [Threshold(rule, float(value)) for value in sorted(set(values))]
    if len(thresholds) < 2:
        raise ValueError(f"Expected at least two values to sweep over, but got {len(thresholds)}.")
    chosen = choose(measures, PAIR_MEASURES)
    soft = [measure.name for measure in chosen if measure.kind != "binary"]
    if soft:
        raise ValueError(
            f"Expected measures of masks, but {', '.join(soft)} needs no threshold: call measure_pairs for it."
        )
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


@checked
def sweep_curves(
    swept: pd.DataFrame, by: str | Sequence[str] = "relation", **options: Any
) -> pd.DataFrame:
    """Average each group of pairs at each threshold, with intervals.

    Parameters
    ----------
    swept
        Table that `sweep` returned.
    by
        Column or columns that form the groups.
    **options
        Options of the intervals: ``level``, ``cluster``, ``n_resamples``, ``seed``. See `estimate_mean`.

    Returns
    -------
    pandas.DataFrame
        One row per scheme, kind, group, threshold, and measure, with the columns of `CURVE_COLUMNS`.
        `daam_syntax.figures.threshold_sweep` draws it.

    Raises
    ------
    ValueError
        If the table is not a sweep.
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
    table = pd.DataFrame(rows, columns=list(dict.fromkeys([*groups, *CURVE_COLUMNS])))
    table.attrs["level"] = options.get("level", 0.95)
    return table


@checked
def sweep_auc(swept: pd.DataFrame) -> pd.DataFrame:
    """Reduce the curve of each pair to the area under it, divided by the width of the sweep.

    This is the mean height of the curve (trapezoidal rule), in the range of the measure. It avoids the choice of one
    threshold, but depends on the range of the sweep, which the column ``threshold`` states.

    Parameters
    ----------
    swept
        Table that `sweep` returned.

    Returns
    -------
    pandas.DataFrame
        One row per pair, with the columns of the pair table, which `summarize` accepts. A pair that cannot be measured
        at one of the thresholds has NaN and the reason, since the area under part of a curve is not comparable.

    Raises
    ------
    ValueError
        If the table is not a sweep, or a pair lacks thresholds.
    """
    _check(swept, [])
    columns = [name for name in swept.columns if name not in ("rule", "value")]
    if swept.empty:
        return swept[columns]
    # Several relations can join two words, so a pair is identified by its position among the rows of its threshold.
    image = ["prompt_id", "image", "scheme"]
    pair = swept.groupby([*image, "threshold"], dropna=False).cumcount()
    ordered = swept.assign(_pair=pair).sort_values([*image, "_pair", "value"], kind="stable")
    values = np.unique(swept["value"])
    if len(ordered) % len(values) or not np.array_equal(
        ordered["value"].to_numpy().reshape(-1, len(values)),
        np.broadcast_to(values, (len(ordered) // len(values), len(values))),
    ):
        raise ValueError(
            "Expected every pair of the sweep at every threshold, but some are missing: pass the whole table."
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
            f"Expected a table that `sweep` returned, but it lacks the columns {', '.join(missing)}."
        )
    if swept["rule"].nunique() > 1:
        raise ValueError(
            f"Expected a sweep over one rule, but got {', '.join(swept['rule'].unique())}: split the table by rule."
        )
