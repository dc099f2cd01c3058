"""Estimates that are a ratio of two sums over clusters: means, differences, and adjusted differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy

from daam_syntax.analysis.formatting import cluster_noun
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS, Clusters, cluster_columns, too_few
from daam_syntax.analysis.statistics.bootstrap import mean_and_error
from daam_syntax.analysis.statistics.cluster_robust import effective_clusters, two_way_error
from daam_syntax.analysis.statistics.sign_flips import (
    MIN_FLIPPED,
    Nuisance,
    least_p,
    sign_flip_interval,
    sign_flip_p,
)
from daam_syntax.util.wording import many, plural


@dataclass(frozen=True)
class Contributions:
    """Rows whose sums divided by the sum of their counts is an estimate.

    Attributes
    ----------
    sums
        Weighted value of each row. *Shape:* ``(row,)``.
    counts
        Weight of each row; those of a prompt add up to its weight. *Shape:* ``(row,)``.
    clusters
        Cluster of each row as codes from 0, of one kind or of two crossed kinds. *Shape:* ``(row,)`` each.
    nuisance
        Moments of what the rows were adjusted with, of each row instead of each cluster; None if they were not.
    """

    sums: np.ndarray
    counts: np.ndarray
    clusters: tuple[np.ndarray, ...]
    nuisance: Nuisance | None = None

    @property
    def estimate(self) -> float:
        """The ratio of the sums."""
        total = self.counts.sum()
        return float(self.sums.sum() / total) if total > 0 else float("nan")

    def by_cluster(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums and the counts of the clusters of the first kind. *Shape:* ``(cluster,)`` each."""
        codes = self.clusters[0]
        present = np.unique(codes)
        sums, counts = (np.bincount(codes, values) for values in (self.sums, self.counts))
        return sums[present], counts[present]

    def flipped_by_cluster(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return sums and counts to flip, with nuisance coefficients of the other clusters; None if there are none."""
        if self.nuisance is None:
            return None
        codes = np.unique(self.clusters[0], return_inverse=True)[1]
        return self.nuisance.summed(codes).without_each()


def infer_difference(
    found: Contributions,
    cluster: Clusters,
    *,
    level: float,
    n_resamples: int,
    seed: int,
    margin: float | None = None,
    n_informative: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return interval, test, and error of a difference as fields of an `Estimate`.

    Parameters
    ----------
    found
        Contributions to the difference.
    cluster
        One column: sign flips of clusters, with the interval of the values that they do not reject. Two columns:
        Student's t with two-way errors.
    level, n_resamples, seed, margin
        See `estimate_difference`.
    n_informative
        Number of clusters, of each kind, that have the difference, if other clusters only adjust it: p is never below
        what these could give.
    """
    if not isinstance(cluster, str):
        return two_way(found, cluster, level, margin, n_informative)
    sums, counts = found.by_cluster()
    n = len(sums) if n_informative is None else n_informative[0]
    noun = cluster_noun(cluster)
    fields: dict[str, Any] = {"n_clusters": n, "method": f"sign flips of {many(noun)}"}
    if n == 0:
        return fields | {"reason": f"no {noun} has both sides"}
    _, error = mean_and_error(sums, counts)
    options: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    moved = found.flipped_by_cluster()
    fields["standard_error"] = float(error)
    fields["least_p"] = least_p(n)
    p = sign_flip_p(sums, flipped=None if moved is None else moved[0], **options)
    fields["p"] = max(float(p), least_p(n))
    if margin is not None:
        fields["p_equivalent"] = _equivalence((sums, counts), moved, margin, n, options)
    if n < MIN_FLIPPED:
        return fields | {
            "reason": f"{plural(n, noun)}, and an interval from sign flips needs at least {MIN_FLIPPED}"
        }
    if error == 0:
        return fields | {"reason": f"all {many(noun)} have the same value"}
    low, high = sign_flip_interval(sums, counts, level=level, flipped=moved, **options)
    if not np.isfinite([low, high]).all():
        return fields | {"reason": f"too few {many(noun)} to exclude any value at this level"}
    return fields | {"low": float(low), "high": float(high)}


def _equivalence(
    observed: tuple[np.ndarray, np.ndarray],
    moved: tuple[np.ndarray, np.ndarray] | None,
    margin: float,
    n: int,
    options: dict[str, Any],
) -> float:
    """Return the larger p-value of the two tests against a difference beyond a margin."""
    found = []
    for sign in (1, -1):
        side, other = (
            None if pair is None else sign * pair[0] + margin * pair[1]
            for pair in (observed, moved)
        )
        assert side is not None
        found.append(float(sign_flip_p(side, alternative="greater", flipped=other, **options)))
    return max(*found, least_p(n) / 2)


def two_way(
    found: Contributions,
    clusters: tuple[str, str],
    level: float,
    margin: float | None = None,
    n_informative: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return interval, test, and error of an estimate with two crossed kinds of clusters, by Student's t.

    The degrees of freedom are the smaller effective number of clusters of both kinds minus 1: clusters of unequal
    weight count for fewer (Carter, Schnepel and Steigerwald 2017, doi:10.1162/REST_a_00639).
    """
    sizes = list(n_informative or [len(np.unique(codes)) for codes in found.clusters])
    fewest = min(sizes)
    units = " and ".join(map(cluster_noun, clusters))
    fields: dict[str, Any] = {"n_clusters": fewest, "method": f"no interval over {units}"}
    if fewest < MIN_CLUSTERS:
        return fields | {"reason": too_few(fewest, cluster_noun(clusters[sizes.index(fewest)]))}
    deviations = (found.sums - found.estimate * found.counts) / found.counts.sum()
    first, second = found.clusters
    error = two_way_error(deviations, first, second, found.counts)
    if np.isnan(error):
        return fields | {"reason": "all values are of one cluster"}
    if error <= 1e-12:
        return fields | {"reason": "the values do not vary", "standard_error": 0.0}
    student = scipy.stats.t(
        min(fewest, *(effective_clusters(found.counts, codes) for codes in found.clusters)) - 1
    )
    half = float(student.ppf((1 + level) / 2)) * error
    if margin is not None:
        fields["p_equivalent"] = float(student.sf((margin - abs(found.estimate)) / error))
    return fields | {
        "low": found.estimate - half,
        "high": found.estimate + half,
        "standard_error": error,
        "p": float(2 * student.sf(abs(found.estimate) / error)),
        "least_p": 0.0,
        "method": f"t interval and test, errors clustered by {units} (Cameron et al. 2011)",
    }


def codes_of(rows: pd.DataFrame, columns: str | Sequence[str]) -> np.ndarray:
    """Return the combinations of values of some columns as codes from 0, in sorted order. *Shape:* ``(row,)``."""
    names = [columns] if isinstance(columns, str) else list(columns)
    found = np.zeros(len(rows), dtype=np.int64)
    for name in names:
        codes = pd.factorize(rows[name], sort=True, use_na_sentinel=False)[0]
        found = np.unique(found * (codes.max(initial=0) + 1) + codes, return_inverse=True)[1]
    return found


def cluster_codes(rows: pd.DataFrame, cluster: Clusters) -> tuple[np.ndarray, ...]:
    """Return the clusters of the rows as codes. *Shape:* ``(row,)`` each."""
    return tuple(codes_of(rows, name) for name in cluster_columns(cluster))


def image_weights(rows: pd.DataFrame, unit: str = "prompt_id") -> np.ndarray:
    """Return weights with which prompts of a unit, images of a prompt, and pairs of an image count the same.

    Returns
    -------
    numpy.ndarray
        The weights of a unit add up to 1. *Shape:* ``(row,)``.
    """
    prompts = codes_of(rows, "prompt_id")
    weights = nested_weights(prompts, codes_of(rows, ["prompt_id", "image"]))
    if unit == "prompt_id":
        return weights
    units = codes_of(rows, unit)
    home = np.unique(np.stack([units, prompts]), axis=1)[0]
    return np.asarray(weights / np.bincount(home)[units])


def nested_weights(prompts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return weights with which the images of a prompt, and the pairs of an image, count the same.

    Parameters
    ----------
    prompts, images
        Prompt and image of each row as codes; an image belongs to one prompt. *Shape:* ``(row,)`` each.
    """
    if not len(prompts):
        return np.zeros(0)
    home = np.unique(np.stack([prompts, images]), axis=1)[0]
    return np.asarray(1.0 / (np.bincount(images)[images] * np.bincount(home)[prompts]))
