"""Differences between two sets of pairs: within images, between paired prompts, or between groups of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_level
from daam_syntax.analysis.formatting import cluster_noun
from daam_syntax.analysis.inference.contributions import (
    Contributions,
    cluster_codes,
    codes_of,
    image_weights,
    infer_difference,
)
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.means import (
    bounds_of,
    check_home,
    measured_rows,
    prompt_means,
    truncated,
)
from daam_syntax.analysis.inference.permutation import permutation_fields
from daam_syntax.analysis.inference.sample import Clusters, check_one_rule, sample_sizes
from daam_syntax.analysis.inference.side_balance import PROPERTIES, Balance, balance, between_groups
from daam_syntax.analysis.statistics.effects import paired_dz
from daam_syntax.maps.measures import PAIR_MEASURES
from daam_syntax.util.arguments.checks import NUMBER, OWN, checked, whole
from daam_syntax.util.wording import listed, plural

ALL: Final = "all"
"""Accept any imbalance."""

MOST_SKEWNESS: Final = 0.3
"""Skewness of a mean up to which a test that takes it for symmetric keeps its level: by the first term of Edgeworth's
expansion, the smaller tail of a level of 5 % has 0 %, and the larger one 5 % (Hall 1992)."""


@checked(
    n_resamples=whole(1, 10_000_000),
    seed=whole(0),
    bounds=NUMBER,
    level=NUMBER,
    pairs=OWN,
    control=OWN,
    cluster=OWN,
)
def estimate_difference(
    pairs: pd.DataFrame,
    control: pd.DataFrame,
    measure: str = "iou",
    *,
    paired_by: str | None = "image",
    accept: str | Sequence[str] = (),
    margin: float | None = None,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "difference",
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate how much more pairs overlap than their control.

    Parameters
    ----------
    pairs, control
        Rows of the pair table of one scheme and one threshold, such as those of two relations.
    measure
        Column of the measure.
    paired_by
        How the sides are paired. "image": within every image that has both sides; these differences are averaged over
        the images of a prompt. "prompt_id", or a column whose values join prompts, such as ``pair`` or ``template``:
        the values of that column are the sample. None: not paired; the sides are groups of different prompts, which are
        compared by permuting the prompts.
    accept
        Properties of `PROPERTIES` in which the sides may differ, or "all". The difference then includes their effects,
        so a claim must name them, for instance "relation plus distance".
    margin
        Largest difference that does not matter, in the unit of the measure. Adds a test of equivalence, see
        `Estimate.p_equivalent`.
    cluster, level, n_resamples, seed, label
        See `estimate_mean`. Two-way clusters get a t test and interval.
    bounds
        Smallest and largest possible value of the measure, see `estimate_mean`; a difference cannot exceed high minus
        low.

    Returns
    -------
    Estimate
        The p-value comes from sign flips of the clusters' differences; the interval holds the differences that the same
        test does not reject. There is no p-value if the sides differ in a property that is not accepted, see `balance`:
        the difference could be due to it, and `Estimate.imbalances` names it. If one side has so many more pairs, of
        such skewed values, that the difference is skewed without any effect, there is neither a p-value nor an
        interval, see `MOST_SKEWNESS`. Counts are those of `pairs`, and the effect size is d_z over prompts.

    Raises
    ------
    ValueError
        See `estimate_mean`. Also if `accept` names an unknown property, or groups of prompts overlap.
    """
    check_level(level)
    accepted = check_accepted(accept)
    check_direction(pairs, control, measure)
    rows, controls = (measured_rows(table, measure, cluster) for table in (pairs, control))
    check_one_rule(pd.concat([rows, controls]))
    check_margin(margin)
    options: dict[str, Any] = {
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
        "margin": margin,
    }
    if paired_by is None:
        fields = _between(rows, controls, measure, cluster, options)
        found = between_groups(rows, controls, measure=measure, seed=seed)
        skewness = 0.0  # permutations of prompts ask for no symmetry
    else:
        unit = "prompt_id" if paired_by == "image" else paired_by
        rows, controls, n_unpaired = _paired(rows, controls, paired_by)
        both = pd.concat([rows, controls], ignore_index=True)
        if cluster == "prompt_id":
            cluster = unit
        else:
            check_home(both, cluster)
        parts = _contributions(rows, controls, measure, unit, cluster_codes(both, cluster))
        fields = infer_difference(parts, cluster, **options)
        differences = np.bincount(codes_of(both, unit), parts.sums)
        fields |= {"estimate": parts.estimate, "effect_size": paired_dz(differences)}
        fields["n_unpaired"] = n_unpaired
        skewness = _skewness(rows, controls, measure, unit)
        found = balance(rows, controls, measure=measure, unit=unit, seed=seed)
    low, high = bounds or bounds_of(measure)
    fields = truncated(fields, low - high, high - low)
    estimate = Estimate(label, measure, level=level, **sample_sizes(rows), **fields)
    estimate = judged(estimate, found, accepted)
    return _without_inference(estimate, skewness) if abs(skewness) > MOST_SKEWNESS else estimate


def check_direction(pairs: pd.DataFrame, control: pd.DataFrame, measure: str) -> None:
    """Check that the roles of a control are not arbitrary if a measure depends on them.

    Raises
    ------
    ValueError
        If related pairs are compared with unrelated ones, whose head is only the earlier word.
    """
    known = PAIR_MEASURES.get(measure)
    if known is None or not known.directional or "kind" not in control:
        return
    kinds = [set(side["kind"]) if "kind" in side else set() for side in (pairs, control)]
    if "unrelated" in kinds[1] and kinds[0] - {"unrelated"}:
        raise ValueError(
            f"Expected a control whose words have roles, because {measure} depends on which word is the head, but in "
            "an unrelated pair the head is only the earlier word: use summarize(pairs, measure="
            f'"{measure}"), which exchanges partners, or match_pairs(pairs).'
        )


def check_accepted(accept: str | Sequence[str]) -> tuple[str, ...]:
    """Return the accepted properties.

    Raises
    ------
    ValueError
        If one is unknown.
    """
    names = tuple(PROPERTIES) if accept == ALL else (accept,) if isinstance(accept, str) else accept
    unknown = [name for name in names if name not in PROPERTIES]
    if unknown:
        raise ValueError(
            f'Expected properties among {", ".join(PROPERTIES)}, or "all", but got {", ".join(map(repr, unknown))}.'
        )
    return tuple(names)


def judged(estimate: Estimate, found: Balance, accepted: Sequence[str]) -> Estimate:
    """Withhold the p-value of a difference whose sides differ in something else."""
    estimate = replace(estimate, imbalances=found.imbalances)
    left = [name for name in found.imbalances if name not in accepted]
    if not left:
        return estimate
    return replace(
        estimate,
        p=float("nan"),
        p_equivalent=float("nan"),
        untested=f"the sides differ in {listed(left)}",
    )


def _skewness(rows: pd.DataFrame, controls: pd.DataFrame, measure: str, unit: str) -> float:
    """Return the skewness of the mean difference if the values of both sides have one distribution.

    The mean of one pair is as skewed as the pairs, and that of many is not. If each unit has one pair here and many
    there, its difference is skewed without any effect, and most differences have the same sign. Sign flips, intervals
    that invert them, and Student's t take differences for symmetric.
    """
    second, third = 0.0, 0.0
    moments = []
    for sign, side in ((1, rows), (-1, controls)):
        weights = image_weights(side, unit)
        second += float((weights**2).sum())
        third += sign * float((weights**3).sum())
        values = side[measure].to_numpy(float)
        moments.append(values - values.mean() if len(values) else values)
    deviations = np.concatenate(moments)
    variance = float((deviations**2).mean()) if len(deviations) else 0.0
    if variance == 0:
        return 0.0
    return float((deviations**3).mean()) / variance**1.5 * third / second**1.5


def _without_inference(estimate: Estimate, skewness: float) -> Estimate:
    """Withhold the p-value and the interval of a difference that is skewed by the numbers of pairs."""
    why = (
        "one side has more pairs, and their values are skewed, so the difference is skewed without any effect "
        f"(skewness {skewness:.1f}, at most {MOST_SKEWNESS:g}); exchange partners (`summarize`) or match pairs "
        "(`match_pairs`)"
    )
    return replace(
        estimate,
        low=float("nan"),
        high=float("nan"),
        p=float("nan"),
        p_equivalent=float("nan"),
        reason=why,
        untested=estimate.untested or why,
    )


def check_margin(margin: float | None) -> None:
    """Check a margin of equivalence.

    Raises
    ------
    ValueError
        If it is not a positive number.
    """
    if margin is not None and not 0 < margin < float("inf"):
        raise ValueError(
            f"Expected a positive margin, the largest difference that does not matter, but got {margin!r}."
        )


def _paired(
    rows: pd.DataFrame, controls: pd.DataFrame, paired_by: str
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the rows of units that have both sides, and the number of prompts that are left out."""
    keys = ["prompt_id", "image"] if paired_by == "image" else [paired_by]
    for name in keys:
        if name not in rows.columns or name not in controls.columns:
            raise ValueError(f"Expected the column {name} on both sides, but it is not there.")
    units = [pd.MultiIndex.from_frame(side[keys]) for side in (rows, controls)]
    kept = [
        side[index.isin(other)]
        for side, index, other in zip((rows, controls), units, units[::-1], strict=True)
    ]
    before = set(rows["prompt_id"]) | set(controls["prompt_id"])
    after = set(kept[0]["prompt_id"]) | set(kept[1]["prompt_id"])
    return kept[0], kept[1], len(before - after)


def _contributions(
    rows: pd.DataFrame,
    controls: pd.DataFrame,
    measure: str,
    unit: str,
    clusters: tuple[np.ndarray, ...],
) -> Contributions:
    """Return the contributions of both sides to the mean difference over units."""
    weights = [image_weights(side, unit) for side in (rows, controls)]
    values = [side[measure].to_numpy(float) for side in (rows, controls)]
    means = [
        float((w * v).sum() / w.sum()) if len(w) else float("nan")
        for w, v in zip(weights, values, strict=True)
    ]
    # Centered on the mean of its own side, so that a cluster with rows of one side only deviates by what is its own.
    estimate = means[0] - means[1]
    sums = [
        sign * w * (v - mean) + estimate * w / 2
        for sign, w, v, mean in zip((1, -1), weights, values, means, strict=True)
    ]
    return Contributions(
        np.concatenate(sums),
        np.concatenate(weights) / 2,  # the two sides of a unit are one difference
        clusters,
    )


def _between(
    rows: pd.DataFrame,
    controls: pd.DataFrame,
    measure: str,
    cluster: Clusters,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Compare groups of different prompts."""
    if not isinstance(cluster, str):
        raise ValueError(
            f"Expected one cluster column to compare groups of prompts, but got {cluster!r}."
        )
    both = set(rows[cluster]) & set(controls[cluster])
    if both:
        raise ValueError(
            f"Expected groups of different prompts, but {plural(len(both), cluster_noun(cluster))} "
            f"({next(iter(both))!r}, for instance) {'is' if len(both) == 1 else 'are'} on both sides: pair them, with "
            'paired_by="image".'
        )
    values = []
    for side in (rows, controls):
        check_home(side, cluster)
        means = prompt_means(side, measure)
        home = side.drop_duplicates("prompt_id").set_index("prompt_id", drop=False)[cluster]
        values.append(means.groupby(home.reindex(means.index)).mean().to_numpy())
    return permutation_fields(*values, noun=cluster_noun(cluster), **options)
