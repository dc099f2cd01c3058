"""Means over prompts, with intervals.

Pairs are nested in images, and images in prompts. Pairs and seeds are therefore averaged within their prompt before
anything is resampled: more of them make the value of a prompt more precise, but they are not new prompts.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns, check_level
from daam_syntax.analysis.formatting import cluster_noun
from daam_syntax.analysis.inference.contributions import (
    Contributions,
    cluster_codes,
    image_weights,
    two_way,
)
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.sample import (
    MIN_CLUSTERS,
    Clusters,
    check_rows,
    cluster_columns,
    sample_sizes,
    too_few,
)
from daam_syntax.analysis.statistics.bootstrap import IntervalMethod, interval, mean_and_error
from daam_syntax.analysis.statistics.sign_flips import sign_flip_interval
from daam_syntax.maps.measures import BINDING_MEASURES, BREADTH_MEASURES, PAIR_MEASURES
from daam_syntax.util.arguments.checks import NUMBER, OWN, checked, whole
from daam_syntax.util.wording import many, plural

UNBOUNDED: Final = (-np.inf, np.inf)
"""Bounds of a measure that can take any value."""

_UNSTABLE: Final = 6.0
"""A studentized interval of more than this many standard errors to either side is unstable; with five prompts Student's
t gives 2.8."""

_METHODS: Final = {
    "studentized": "symmetric studentized bootstrap of {units}",
    "t": "t interval over {units}",
    "bca": "BCa bootstrap of {units}",
    "percentile": "percentile bootstrap of {units}",
}

_SHARES: Final = ("area", "mean", "max")
"""Columns of the word table with values from 0 to 1, besides the measures of breadth."""


@checked(n_resamples=OWN, seed=whole(0), bounds=NUMBER, level=NUMBER, pairs=OWN, cluster=OWN)
def estimate_mean(
    pairs: pd.DataFrame,
    measure: str = "iou",
    *,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    method: IntervalMethod = "studentized",
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "mean",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate the mean of a measure over prompts.

    Parameters
    ----------
    pairs
        Rows of the pair table of one scheme and one threshold, see `measure_pairs`.
    measure
        Column to average: over the pairs of an image, then over the images of a prompt, then over prompts. NaN is left
        out.
    cluster
        The independent units: "prompt_id"; or a column with one value per prompt, such as a template; or two crossed
        columns, such as ``("prompt_id", "head_lemma")`` if lemmas recur across prompts. One of two columns must keep
        every prompt together.
    level
        Confidence level.
    method
        Method of the interval, see `daam_syntax.analysis.statistics.bootstrap.interval`. If few clusters differ from
        the others, the studentized bootstrap is unstable; then the interval is that of sign flips, and the result's
        ``method`` says so. Two-way clusters always get a t interval with the error of
        `daam_syntax.analysis.statistics.cluster_robust.two_way_error`.
    n_resamples, seed
        Number of bootstrap samples, and their seed.
    label
        Name of the estimate.
    bounds
        Smallest and largest possible value of the measure; if None, those of the measures of this package. An interval
        over few prompts can extend beyond them, where no mean can lie. The interval is truncated at these bounds, which
        does not reduce its coverage.

    Returns
    -------
    Estimate
        If there are fewer than `MIN_CLUSTERS` independent units, or they do not vary, it has a reason instead of an
        interval.

    Raises
    ------
    ValueError
        If the table lacks a column or mixes schemes or thresholds, or if a prompt has several values of a single
        `cluster` column.
    """
    check_level(level)
    rows = measured_rows(pairs, measure, cluster)
    weights = image_weights(rows)
    values = weights * rows[measure].to_numpy(float)
    found = Contributions(values, weights, cluster_codes(rows, cluster))
    check_home(rows, cluster)
    if isinstance(cluster, str):
        fields = _one_way(found, cluster, level, method, n_resamples, seed)
    else:
        fields = two_way(found, cluster, level)
        for name in ("p", "least_p"):  # a mean has no natural null hypothesis
            fields.pop(name, None)
    fields = truncated(fields, *(bounds or bounds_of(measure)))
    return Estimate(label, measure, found.estimate, level=level, **sample_sizes(rows), **fields)


@checked
def prompt_means(pairs: pd.DataFrame, measure: str) -> pd.Series:
    """Return the mean of a measure in each prompt: over the pairs of an image, then over images.

    Returns
    -------
    pandas.Series
        Indexed by ``prompt_id``. Prompts without any value are left out.

    Raises
    ------
    ValueError
        If the table lacks a column.
    """
    check_columns(pairs, ("prompt_id", "image", measure))
    measured = pairs[pairs[measure].notna()]
    images = measured.groupby(["prompt_id", "image"])[measure].mean()
    return images.groupby(level="prompt_id").mean()


def measured_rows(pairs: pd.DataFrame, measure: str, cluster: Clusters) -> pd.DataFrame:
    """Return the rows with a value of the measure.

    Raises
    ------
    ValueError
        If the table lacks a column, or the measure is text or infinite.
    """
    rows = check_rows(pairs, [measure], cluster)
    if len(rows) and pd.api.types.is_string_dtype(rows[measure]):
        raise ValueError(f"Expected a measure, a column of numbers, but {measure} contains text.")
    rows = rows[rows[measure].notna()]
    n_infinite = int(np.isinf(rows[measure].to_numpy(float)).sum())
    if n_infinite:
        raise ValueError(
            f"Expected finite values of {measure}, but {plural(n_infinite, 'row')} of {len(rows)} "
            f"{'is' if n_infinite == 1 else 'are'} infinite: a mean would be infinite, too. Replace them by NaN to "
            "count them as missing."
        )
    return rows


def check_home(rows: pd.DataFrame, cluster: Clusters) -> None:
    """Check that every prompt is in one cluster, at least of one kind if there are two.

    Pairs of one prompt share more than their words. Two crossed kinds that both divide prompts, such as the lemmas of
    both words, would count them as independent.

    Raises
    ------
    ValueError
        If a prompt has several clusters of each kind.
    """
    columns = cluster_columns(cluster)
    if "prompt_id" in columns:
        return
    divided = [_first_divided(rows, column) for column in columns]
    if None in divided:
        return
    if isinstance(cluster, str):
        raise ValueError(
            f"Expected every prompt to have one {cluster}, but {divided[0]!r} has several: cluster two ways "
            f'instead, with cluster=("prompt_id", {cluster!r}).'
        )
    first, second = cluster
    raise ValueError(
        f"Expected one of two kinds of clusters to keep every prompt together, but {divided[0]!r} has several of "
        f'{first} and of {second}: use cluster=("prompt_id", {first!r}), or `regress`, whose errors allow for this.'
    )


def _first_divided(rows: pd.DataFrame, column: str) -> Any:
    """Return the first prompt with several clusters; None if there is none."""
    home = rows[["prompt_id", column]].drop_duplicates()
    again = home.loc[home["prompt_id"].duplicated(), "prompt_id"]
    return again.iloc[0] if len(again) else None


def _one_way(
    found: Contributions,
    cluster: str,
    level: float,
    method: IntervalMethod,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    sums, counts = found.by_cluster()
    units = many(cluster_noun(cluster))
    fields: dict[str, Any] = {"n_clusters": len(sums), "method": f"no interval over {units}"}
    if len(sums) < MIN_CLUSTERS:
        return fields | {"reason": too_few(len(sums), cluster_noun(cluster))}
    _, error = mean_and_error(sums, counts)
    if error == 0:
        return fields | {"reason": f"all {units} have the same value", "standard_error": 0.0}
    ends = interval(sums, counts, method=method, level=level, n_resamples=n_resamples, seed=seed)
    low, high = map(float, ends)
    fields["standard_error"] = float(error)
    name = _METHODS[method].format(units=units)
    if method == "studentized" and np.isfinite(high) and high - low > _UNSTABLE * 2 * error:
        # Bootstrap samples without the few values that vary have almost no error, so the quantile of t explodes.
        ends = sign_flip_interval(sums, counts, level=level, n_resamples=n_resamples, seed=seed)
        if np.isfinite(ends).all():
            low, high = map(float, ends)
            name = f"inverted sign flips of {units}; few differ, so the studentized bootstrap is unstable"
    if not np.isfinite([low, high]).all():
        return fields | {"reason": f"too few {units} differ from the others"}
    return fields | {"low": low, "high": high, "method": name}


def bounds_of(measure: str) -> tuple[float, float]:
    """Return the smallest and largest possible value of a measure of pairs, words or modifiers."""
    known = PAIR_MEASURES.get(measure) or BREADTH_MEASURES.get(measure)
    known = known or BINDING_MEASURES.get(measure)
    if known:
        return known.low, known.high
    return (0.0, 1.0) if measure in _SHARES else UNBOUNDED


def truncated(found: dict[str, Any], least: float, largest: float) -> dict[str, Any]:
    """Cut off the parts of an interval where no mean can lie."""
    if "low" not in found:
        return found
    return found | {"low": max(found["low"], least), "high": min(found["high"], largest)}
