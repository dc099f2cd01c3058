"""Means and differences of the pair table with intervals and tests. Prompts are the sample.

Pairs are nested in images and images in prompts, so pairs and seeds are averaged within their prompt before anything is
resampled: more of them make a prompt's value more precise, but they are no new prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from daam_syntax.analysis.inference.checks import check_level, check_table
from daam_syntax.analysis.inference.effects import paired_dz
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.resampling import (
    IntervalMethod,
    interval,
    mean_and_error,
    sign_flip_p,
    two_way_error,
)
from daam_syntax.maps.measures import BINDING_MEASURES, BREADTH_MEASURES, PAIR_MEASURES
from daam_syntax.util.wording import many, plural

MIN_CLUSTERS: Final = 5
"""With fewer independent units there is no interval: no resampling can tell how they vary."""

UNBOUNDED: Final = (-np.inf, np.inf)
"""Bounds of a measure that can have any value."""

_SHARES: Final = ("area", "mean", "max")  # of the word table, beside the measures of breadth

Clusters = str | tuple[str, str]
"""A column whose values are independent units, or two columns that are crossed."""


def estimate_mean(
    pairs: pd.DataFrame,
    measure: str = "iou",
    *,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    method: IntervalMethod = "studentised",
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "mean",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate the mean of a measure over prompts.

    Parameters
    ----------
    pairs
        Rows of the pair table of one scheme and threshold, see `measure_pairs`.
    measure
        The column to average: over the pairs of an image, then its prompt's images, then prompts. NaN is left out.
    cluster
        What is independent: "prompt_id"; or a column that each prompt has one value of, such as a template; or two
        columns, such as ``("prompt_id", "head_lemma")``, where lemmas recur across prompts.
    level
        Confidence level.
    method
        How the interval is made, see `daam_syntax.analysis.inference.resampling.interval`. Two-way clusters always have a
        t interval with the error of `daam_syntax.analysis.inference.resampling.two_way_error`.
    n_resamples, seed
        Of the bootstrap.
    label
        Name of the estimate.
    bounds
        Least and largest value that the measure can have; known of the measures of this package if None. An interval
        over few prompts may reach beyond them, where no mean can lie: it is cut there, which takes nothing from its
        coverage.

    Returns
    -------
    Estimate
        With a reason and no interval if there are fewer than `MIN_CLUSTERS` independent units, or they do not vary.

    Raises
    ------
    ValueError
        If the table lacks a column, mixes schemes or thresholds, or prompts have several values of a single `cluster`.
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
    return Estimate(label, measure, _mean(values), level=level, **_counts(rows), **found)


def estimate_difference(
    pairs: pd.DataFrame,
    control: pd.DataFrame,
    measure: str = "iou",
    *,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    method: IntervalMethod = "studentised",
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "difference",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate how far pairs overlap more than their control, paired within prompts.

    A prompt's difference is the mean of its pairs minus the mean of its control pairs; prompts that lack one side are
    left out and counted. The p-value comes from flipping the signs of the clusters' differences, for two-way
    clusters from t.

    Parameters
    ----------
    pairs, control
        Rows of the pair table of one scheme and threshold, for instance those of a relation and the unrelated ones.
    measure, cluster, level, method, n_resamples, seed, label
        See `estimate_mean`.
    bounds
        Of the measure, as there: a difference is at most as large as their distance.

    Returns
    -------
    Estimate
        Its counts are those of `pairs`; `effect_size` is dz over the prompts.

    Raises
    ------
    ValueError
        See `estimate_mean`.
    """
    check_level(level)
    rows, controls = (_measured(table, measure, cluster) for table in (pairs, control))
    _check_one_rule(pd.concat([rows, controls]))
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
            found["method"] += f"; sign flips per {_unit(cluster)}"
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
        **_counts(rows),
        **found,
    )


def prompt_means(pairs: pd.DataFrame, measure: str) -> pd.Series:
    """Return each prompt's mean of a measure: over the pairs of an image, then over the images.

    Returns
    -------
    pandas.Series
        Indexed by ``prompt_id``; prompts without any value are left out.
    """
    measured = pairs[pairs[measure].notna()]
    images = measured.groupby(["prompt_id", "image"])[measure].mean()
    return images.groupby(level="prompt_id").mean()


def check_rows(pairs: pd.DataFrame, columns: Sequence[str], cluster: Clusters) -> pd.DataFrame:
    """Return the table with row numbers as labels, after checking that its rows can be averaged.

    Raises
    ------
    ValueError
        If it lacks a column, mixes schemes or thresholds, or rows belong to no cluster.
    """
    check_table(pairs)
    clusters = [cluster] if isinstance(cluster, str) else list(cluster)
    if len(clusters) not in (1, 2):
        raise ValueError(f"Expected one or two columns of clusters, but got {cluster!r}.")
    wanted = list(dict.fromkeys(["prompt_id", "image", *columns, *clusters]))
    missing = [column for column in wanted if column not in pairs.columns]
    if missing:
        raise ValueError(
            f"Expected a pair table with the columns {', '.join(wanted)}, but it has no "
            f"{', '.join(missing)} (only {', '.join(map(str, pairs.columns))})."
        )
    _check_one_rule(pairs)
    unnamed = [column for column in clusters if pairs[column].isna().any()]
    if unnamed:
        raise ValueError(
            f"Expected every pair to have a cluster, but {', '.join(unnamed)} is missing in some rows."
        )
    return pairs.reset_index(drop=True)


def _measured(pairs: pd.DataFrame, measure: str, cluster: Clusters) -> pd.DataFrame:
    rows = check_rows(pairs, [measure], cluster)
    if len(rows) and pd.api.types.is_string_dtype(rows[measure]):
        raise ValueError(f"Expected a measure, a column of numbers, but {measure} holds text.")
    return rows[rows[measure].notna()]


def _check_one_rule(pairs: pd.DataFrame) -> None:
    for column in ("scheme", "threshold"):
        if column in pairs.columns and pairs[column].nunique(dropna=True) > 1:
            found = ", ".join(map(str, pairs[column].unique()))
            raise ValueError(
                f"Expected pairs of one {column}, but got {found}: they are the same pairs measured in "
                f"several ways, so choose one."
            )


def _cluster_sums(
    values: pd.Series, rows: pd.DataFrame, cluster: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the prompts' values in each cluster, and their number."""
    if cluster == "prompt_id":
        return values.to_numpy(), np.ones(len(values))
    home = rows[["prompt_id", cluster]].drop_duplicates()
    if home["prompt_id"].duplicated().any():
        example = home.loc[home["prompt_id"].duplicated(), "prompt_id"].iloc[0]
        raise ValueError(
            f"Expected every prompt to have one {cluster}, but {example!r} has several; "
            f'cluster two ways instead: ("prompt_id", {cluster!r}).'
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
    units = many(_unit(cluster))
    found: dict[str, Any] = {"n_clusters": len(sums), "method": f"no interval over {units}"}
    if len(sums) < MIN_CLUSTERS:
        return found | {"reason": _too_few(len(sums), _unit(cluster))}
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
        "studentised": f"symmetric studentised bootstrap of {units}",
        "t": f"t interval over {units}",
        "bca": f"BCa bootstrap of {units}",
        "percentile": f"percentile bootstrap of {units}",
    }
    return found | {"low": float(low), "high": float(high), "method": names[method]}


def _bounds_of(measure: str) -> tuple[float, float]:
    """Return the least and the largest value of a measure of a pair, of a word or of a modifier."""
    known = PAIR_MEASURES.get(measure) or BREADTH_MEASURES.get(measure)
    known = known or BINDING_MEASURES.get(measure)
    if known:
        return known.low, known.high
    return (0.0, 1.0) if measure in _SHARES else UNBOUNDED


def _cut(found: dict[str, Any], least: float, largest: float) -> dict[str, Any]:
    """Cut an interval off where no mean can lie."""
    if "low" not in found:
        return found
    return found | {"low": max(found["low"], least), "high": min(found["high"], largest)}


def _contributions(rows: pd.DataFrame, measure: str) -> np.ndarray:
    """Return each row's weight in the mean over prompts times its deviation from that mean, shape (row,)."""
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
    """Return interval, and p if it is to be tested, from the rows' contributions to an estimate's error."""
    codes = [pd.factorize(rows[column])[0] for column in clusters]
    fewest = min(rows[column].nunique() for column in clusters)
    units = " and ".join(map(_unit, clusters))
    found: dict[str, Any] = {"n_clusters": fewest, "method": f"no interval over {units}"}
    if fewest < MIN_CLUSTERS:
        column = min(clusters, key=lambda name: rows[name].nunique())
        return found | {"reason": _too_few(fewest, _unit(column))}
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


def _too_few(n: int, unit: str) -> str:
    return f"{plural(n, unit)}, and an interval needs at least {MIN_CLUSTERS}"


def _unit(column: str) -> str:
    return {"prompt_id": "prompt"}.get(column, column.replace("_", " "))


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _counts(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "n_prompts": int(rows["prompt_id"].nunique()),
        "n_images": len(rows[["prompt_id", "image"]].drop_duplicates()),
        "n_pairs": len(rows),
    }
