"""Means over prompts and their differences, with intervals and tests.

Pairs are nested in images, and images in prompts. Pairs and seeds are therefore averaged within their prompt before
anything is resampled: more of them make the value of a prompt more precise, but they are not new prompts.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from daam_syntax.analysis.checks import check_level
from daam_syntax.analysis.formatting import cluster_noun
from daam_syntax.analysis.inference.effects import paired_dz
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.resampling import (
    IntervalMethod,
    interval,
    mean_and_error,
    sign_flip_p,
    two_way_error,
)
from daam_syntax.analysis.inference.sample import (
    MIN_CLUSTERS,
    Clusters,
    check_one_rule,
    check_rows,
    sample_sizes,
    too_few,
)
from daam_syntax.maps.measures import BINDING_MEASURES, BREADTH_MEASURES, PAIR_MEASURES
from daam_syntax.util.wording import many

UNBOUNDED: Final = (-np.inf, np.inf)
"""Bounds of a measure that can take any value."""

_SHARES: Final = ("area", "mean", "max")
"""Columns of the word table with values from 0 to 1, besides the measures of breadth."""


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
        columns, such as ``("prompt_id", "head_lemma")`` if lemmas recur across prompts.
    level
        Confidence level.
    method
        Method of the interval, see `daam_syntax.analysis.inference.resampling.interval`. Two-way clusters always get a
        t interval with the error of `daam_syntax.analysis.inference.resampling.two_way_error`.
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
    rows = _measured(pairs, measure, cluster)
    values = prompt_means(rows, measure)
    found: dict[str, Any]
    if isinstance(cluster, str):
        sums, counts = _cluster_sums(values, rows, cluster)
        found = _one_way(sums, counts, cluster, level, method, n_resamples, seed)
    else:
        parts = _contributions(rows, measure)
        found = _two_way(parts, rows, cluster, level, _mean(values), test=False)
    found = _cut(found, *(bounds or _bounds_of(measure)))
    return Estimate(label, measure, _mean(values), level=level, **sample_sizes(rows), **found)


def estimate_difference(
    pairs: pd.DataFrame,
    control: pd.DataFrame,
    measure: str = "iou",
    *,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    method: IntervalMethod = "studentized",
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "difference",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate how much more pairs overlap than their control, paired within prompts.

    The difference of a prompt is the mean of its pairs minus the mean of its control pairs. Prompts that lack one side
    are left out and counted. The p-value comes from flipping the signs of the clusters' differences; for two-way
    clusters, from Student's t.

    Parameters
    ----------
    pairs, control
        Rows of the pair table of one scheme and one threshold, such as those of a relation and the unrelated pairs.
    measure, cluster, level, method, n_resamples, seed, label
        See `estimate_mean`.
    bounds
        Smallest and largest possible value of the measure, see `estimate_mean`; a difference cannot exceed high minus
        low.

    Returns
    -------
    Estimate
        Its counts are those of `pairs`, and its `effect_size` is d_z over prompts.

    Raises
    ------
    ValueError
        See `estimate_mean`.
    """
    check_level(level)
    rows, controls = (_measured(table, measure, cluster) for table in (pairs, control))
    check_one_rule(pd.concat([rows, controls]))
    values, others = prompt_means(rows, measure), prompt_means(controls, measure)
    differences = (values - others).dropna()
    n_unpaired = len(values.index.union(others.index)) - len(differences)
    rows, controls = (
        table[table["prompt_id"].isin(differences.index)] for table in (rows, controls)
    )
    both = pd.concat([rows, controls])
    found: dict[str, Any]
    if isinstance(cluster, str):
        sums, counts = _cluster_sums(differences, both, cluster)
        found = _one_way(sums, counts, cluster, level, method, n_resamples, seed)
        if len(sums):
            found["p"] = float(sign_flip_p(sums, n_resamples=n_resamples, seed=seed))
            found["method"] += f"; sign flips per {cluster_noun(cluster)}"
    else:
        parts = np.concatenate([_contributions(rows, measure), -_contributions(controls, measure)])
        found = _two_way(parts, both, cluster, level, _mean(differences), test=True)
    low, high = bounds or _bounds_of(measure)
    width = high - low
    found = _cut(found, -width, width)
    return Estimate(
        label,
        measure,
        _mean(differences),
        level=level,
        effect_size=paired_dz(differences),
        n_unpaired=n_unpaired,
        **sample_sizes(rows),
        **found,
    )


def prompt_means(pairs: pd.DataFrame, measure: str) -> pd.Series:
    """Return the mean of a measure in each prompt: over the pairs of an image, then over images.

    Returns
    -------
    pandas.Series
        Indexed by ``prompt_id``. Prompts without any value are left out.
    """
    measured = pairs[pairs[measure].notna()]
    images = measured.groupby(["prompt_id", "image"])[measure].mean()
    return images.groupby(level="prompt_id").mean()


def _measured(pairs: pd.DataFrame, measure: str, cluster: Clusters) -> pd.DataFrame:
    rows = check_rows(pairs, [measure], cluster)
    if len(rows) and pd.api.types.is_string_dtype(rows[measure]):
        raise ValueError(f"Expected a measure, a column of numbers, but {measure} contains text.")
    return rows[rows[measure].notna()]


def _cluster_sums(
    values: pd.Series, rows: pd.DataFrame, cluster: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the prompts' values in each cluster, and the number of these prompts."""
    if cluster == "prompt_id":
        return values.to_numpy(), np.ones(len(values))
    home = rows[["prompt_id", cluster]].drop_duplicates()
    if home["prompt_id"].duplicated().any():
        example = home.loc[home["prompt_id"].duplicated(), "prompt_id"].iloc[0]
        raise ValueError(
            f"Expected every prompt to have one {cluster}, but {example!r} has several: cluster two ways "
            f'instead, with cluster=("prompt_id", {cluster!r}).'
        )
    groups = values.groupby(home.set_index("prompt_id")[cluster].reindex(values.index))
    return groups.sum().to_numpy(), groups.size().to_numpy(dtype=float)


def _one_way(
    sums: np.ndarray,
    counts: np.ndarray,
    cluster: str,
    level: float,
    method: IntervalMethod,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    units = many(cluster_noun(cluster))
    found: dict[str, Any] = {"n_clusters": len(sums), "method": f"no interval over {units}"}
    if len(sums) < MIN_CLUSTERS:
        return found | {"reason": too_few(len(sums), cluster_noun(cluster))}
    _, error = mean_and_error(sums, counts)
    if error == 0:
        return found | {"reason": f"all {units} have the same value", "standard_error": 0.0}
    low, high = interval(
        sums, counts, method=method, level=level, n_resamples=n_resamples, seed=seed
    )
    found["standard_error"] = float(error)
    if not np.isfinite([low, high]).all():
        return found | {"reason": f"too few {units} differ from the others"}
    names = {
        "studentized": f"symmetric studentized bootstrap of {units}",
        "t": f"t interval over {units}",
        "bca": f"BCa bootstrap of {units}",
        "percentile": f"percentile bootstrap of {units}",
    }
    return found | {"low": float(low), "high": float(high), "method": names[method]}


def _bounds_of(measure: str) -> tuple[float, float]:
    """Return the smallest and largest possible value of a measure of pairs, words or modifiers."""
    known = PAIR_MEASURES.get(measure) or BREADTH_MEASURES.get(measure)
    known = known or BINDING_MEASURES.get(measure)
    if known:
        return known.low, known.high
    return (0.0, 1.0) if measure in _SHARES else UNBOUNDED


def _cut(found: dict[str, Any], least: float, largest: float) -> dict[str, Any]:
    """Cut off the parts of an interval where no mean can lie."""
    if "low" not in found:
        return found
    return found | {"low": max(found["low"], least), "high": min(found["high"], largest)}


def _contributions(rows: pd.DataFrame, measure: str) -> np.ndarray:
    """Return each row's weight in the mean over prompts times its deviation from the mean. *Shape:* ``(row,)``."""
    prompts = rows.groupby("prompt_id")["image"]
    in_image = rows.groupby(["prompt_id", "image"])[measure].transform("size").to_numpy(float)
    images = prompts.transform("nunique").to_numpy(float)
    weights = 1 / (in_image * images * max(rows["prompt_id"].nunique(), 1))
    values = rows[measure].to_numpy(float)
    return np.asarray(weights * (values - (weights * values).sum()))


def _two_way(
    contributions: np.ndarray,
    rows: pd.DataFrame,
    clusters: tuple[str, str],
    level: float,
    estimate: float,
    *,
    test: bool,
) -> dict[str, Any]:
    """Return the interval, and if `test` is true the p-value, from each row's contribution to the error."""
    codes = [pd.factorize(rows[column])[0] for column in clusters]
    fewest = min(rows[column].nunique() for column in clusters)
    units = " and ".join(map(cluster_noun, clusters))
    found: dict[str, Any] = {"n_clusters": fewest, "method": f"no interval over {units}"}
    if fewest < MIN_CLUSTERS:
        column = min(clusters, key=lambda name: rows[name].nunique())
        return found | {"reason": too_few(fewest, cluster_noun(column))}
    error = two_way_error(contributions, *codes)
    if error <= 1e-12:
        return found | {"reason": "the values do not vary", "standard_error": 0.0}
    student = stats.t(fewest - 1)
    half = float(student.ppf((1 + level) / 2)) * error
    found |= {"low": estimate - half, "high": estimate + half, "standard_error": error}
    if test:
        found["p"] = float(2 * student.sf(abs(estimate) / error))
    kind = "t interval and test" if test else "t interval"
    return found | {"method": f"{kind}, errors clustered by {units} (Cameron et al. 2011)"}


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else float("nan")
