"""What a relation adds to the overlap of its words, by exchange of partners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns
from daam_syntax.analysis.exchange.contrasts import (
    TIERS,
    Exchange,
    exchange_partners,
    strictest_tier,
)
from daam_syntax.analysis.inference.contributions import cluster_codes, codes_of, infer_difference
from daam_syntax.analysis.inference.differences import judged
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.means import bounds_of, check_home, truncated
from daam_syntax.analysis.inference.sample import Clusters, check_one_rule
from daam_syntax.analysis.inference.side_balance import OF_AREAS, Balance, judge, sign_patterns
from daam_syntax.analysis.relations.adjustment import (
    ROUNDING,
    Adjusted,
    Contrasts,
    adjust_for_distance,
    adjusted_for,
)
from daam_syntax.analysis.statistics.effects import paired_dz
from daam_syntax.util.arguments.checks import checked

FEW_STRUCTURES: Final = (
    'prompts share their structures: vary their parts of speech, or pass accept="place"'
)
"""What to do about prompts that are too few structures."""


NOTHING_TO_EXCHANGE: Final = "no unrelated pairs to exchange partners with"


@dataclass(frozen=True)
class Relatedness:
    """What a relation adds.

    Attributes
    ----------
    estimate
        The difference between related pairs and their exchanged pairs.
    tier
        Kind of the exchange, see `TIERS`; "" if there is none.
    matched
        Share of the relation's measured pairs that the tier matches.
    effect
        What the difference is due to, such as "relation" or "relation plus distance".
    """

    estimate: Estimate
    tier: str
    matched: float
    effect: str


@dataclass(frozen=True, eq=False)
class ExchangeArrays:
    """The table of an exchange of partners as arrays, for estimates of many groups of pairs.

    Attributes
    ----------
    exchange
        The exchange.
    contrasts
        All its rows.
    related
        Whether a row is a related pair. *Shape:* ``(row,)``.
    tiers
        Tier of each row as a place in `TIERS`. *Shape:* ``(row,)``.
    structures
        Structure of each row's prompt as codes. *Shape:* ``(row,)``.
    """

    exchange: Exchange
    contrasts: Contrasts
    related: np.ndarray
    tiers: np.ndarray
    structures: np.ndarray

    @classmethod
    def of(cls, exchange: Exchange, cluster: Clusters) -> ExchangeArrays:
        """Convert the table of an exchange."""
        table, names = exchange.table, tuple(exchange.spread.index)
        contrasts = Contrasts(
            codes_of(table, "prompt_id"),
            codes_of(table, ["prompt_id", "image"]),
            cluster_codes(table, cluster),
            table["contrast"].to_numpy(float),
            table[list(names)].to_numpy(float),
            names,
        )
        tiers = np.asarray(pd.Categorical(table["tier"], categories=list(TIERS)).codes)
        return cls(
            exchange,
            contrasts,
            table["kind"].eq("dependency").to_numpy(bool),
            tiers,
            codes_of(table, "structure"),
        )


def relatedness(
    arrays: ExchangeArrays,
    chosen: np.ndarray,
    unrelated: np.ndarray,
    n_measured: int,
    *,
    accept: Sequence[str] = (),
    tier: str | None = None,
    margin: float | None = None,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "relatedness",
) -> Relatedness:
    """Estimate what a group of related pairs has more than exchanged pairs.

    Parameters
    ----------
    arrays
        The exchange.
    chosen
        Rows of the group. *Shape:* ``(row,)``, boolean.
    unrelated
        Rows of unrelated pairs that show what distance does. *Shape:* ``(row,)``, boolean.
    n_measured
        Number of measured pairs of the group.
    accept, margin, cluster, level, n_resamples, seed, label
        See `estimate_difference`. If distance is accepted, it is not adjusted for.
    tier
        Kind of the exchange; None for the strictest one that matches at least `LEAST_SHARE` of the pairs.
    """
    measure = arrays.exchange.measure
    counts = np.bincount(arrays.tiers[chosen], minlength=len(TIERS))
    wanted, share, reason = choose_tier(counts / max(n_measured, 1), tier)
    if not wanted:
        return Relatedness(Estimate(label, measure, np.nan, reason=reason), "", 0.0, "")
    of_tier = arrays.tiers == list(TIERS).index(wanted)
    contrasts = arrays.contrasts
    structures = arrays.structures[chosen & of_tier]
    shared = len(np.unique(structures)) < len(np.unique(contrasts.prompts[chosen & of_tier]))
    if samples_structures(cluster, accept, shared=shared):
        cluster = "structure"
        contrasts = replace(contrasts, clusters=(arrays.structures,))
    rows = contrasts.where(chosen & of_tier)
    others = contrasts.where(unrelated & of_tier & ("distance" not in accept))
    sample = Sample(
        contrasts=rows.by_prompt(rows.contrast),
        covariates=pd.DataFrame(rows.by_prompt(rows.covariates), columns=list(rows.names)),
        n_clusters=[len(np.unique(codes)) for codes in rows.clusters],
        n_images=len(np.unique(rows.images)),
        n_pairs=len(rows),
    )
    estimate, effect = estimate_relatedness(
        adjust_for_distance(rows, others),
        sample,
        arrays.exchange.spread,
        measure,
        accept=accept,
        shared=shared,
        margin=margin,
        cluster=cluster,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        label=label,
    )
    return Relatedness(estimate, wanted, share, effect)


def samples_structures(cluster: Clusters, accept: Sequence[str], *, shared: bool) -> bool:
    """Return whether structures are the sample instead of prompts, because prompts share them.

    Places that cancel in a sum need not cancel in an overlap, which is not linear in them. What is left depends on the
    places of the words, so it is the same in all prompts of one structure and does not average out over them.
    """
    return shared and cluster == "prompt_id" and "place" not in accept


def estimate_groups(
    pairs: pd.DataFrame,
    groups: pd.Series,
    measure: str,
    *,
    symmetric: Sequence[str] = (),
    cluster: Clusters = "prompt_id",
    **options: Any,
) -> dict[int, Relatedness]:
    """Estimate what each group of related pairs has more than exchanged pairs.

    Parameters
    ----------
    pairs
        A pair table with unrelated pairs.
    groups
        Number of the group of each row.
    measure, symmetric
        See `exchange_partners`.
    cluster, **options
        See `relatedness`.

    Returns
    -------
    dict
        Maps the number of each group of dependencies to its estimate. Unrelated pairs of the same scheme and threshold
        show what distance does.
    """
    exchange = exchange_partners(pairs.assign(_group=groups), measure, symmetric=symmetric)
    check_home(exchange.table[exchange.table["kind"] == "dependency"], cluster)
    arrays = ExchangeArrays.of(exchange, cluster)
    rule = codes_of(exchange.table, ["scheme", "threshold"])
    group = exchange.table["_group"].to_numpy()
    related = pairs["kind"].eq("dependency")
    n_measured = groups[related & pairs[measure].notna()].value_counts()
    found = {}
    for number in groups[related].unique():
        chosen = arrays.related & (group == number)
        unrelated = ~arrays.related & np.isin(rule, rule[chosen])
        n = int(n_measured.get(number, 0))
        found[int(number)] = relatedness(arrays, chosen, unrelated, n, cluster=cluster, **options)
    return found


def can_exchange(pairs: pd.DataFrame) -> bool:
    """Return whether a table has what an exchange of partners needs."""
    needed = {"relation", "head_index", "dependent_index", "head_pos", "head_subwords"}
    return needed <= set(pairs.columns) and bool(pairs["kind"].eq("unrelated").any())


@checked
def estimate_relations(
    pairs: pd.DataFrame, by: str = "relation", measure: str = "iou", **options: Any
) -> dict[str, Relatedness]:
    """Estimate what relations add to the overlap of their words, as `summarize` does.

    Parameters
    ----------
    pairs
        A pair table of one scheme and one threshold, with unrelated pairs.
    by
        Column of the groups, such as "kind" for all dependencies together.
    measure
        Column of the measure.
    **options
        Further arguments of `summarize`: ``tier``, ``accept`` (a sequence), ``cluster``, ``level``, ``symmetric``,
        ``n_resamples``, ``seed``; and ``margin``, see `estimate_difference`.

    Returns
    -------
    dict
        Maps each group of dependencies to its estimate, with the tier, the share of its pairs that have exchanged
        pairs, and what the difference is due to.

    Raises
    ------
    ValueError
        See `exchange_partners`; also if the table mixes schemes or thresholds.
    """
    check_columns(pairs, ("kind", by))
    check_one_rule(pairs)
    if not can_exchange(pairs):
        nothing = Estimate("relatedness", measure, np.nan, reason=NOTHING_TO_EXCHANGE)
        related = pairs.loc[pairs["kind"].eq("dependency"), by].unique()
        return {str(name): Relatedness(nothing, "", 0.0, "") for name in related}
    pairs = pairs.reset_index(drop=True)
    codes, names = pd.factorize(pairs[by])
    found = estimate_groups(pairs, pd.Series(codes, index=pairs.index), measure, **options)
    return {str(names[number]): result for number, result in found.items()}


def choose_tier(shares: np.ndarray, tier: str | None) -> tuple[str, float, str]:
    """Return the tier, the share of the pairs that it matches, and the reason if there is none.

    Parameters
    ----------
    shares
        Share of the pairs that each of `TIERS` matches. *Shape:* ``(tier,)``.
    tier
        The tier that is asked for, or None.
    """
    found = dict(zip(TIERS, map(float, shares), strict=True))
    wanted = tier or strictest_tier(found)
    if wanted and found[wanted]:
        return wanted, found[wanted], ""
    largest = max(found.values())
    if largest > 0:
        return (
            "",
            0.0,
            f"only {largest:.0%} of the pairs have words of the same parts of speech to exchange",
        )
    return "", 0.0, "no words of the same parts of speech to exchange with"


@dataclass(frozen=True, eq=False)
class Sample:
    """The prompts of an estimate of relatedness.

    Attributes
    ----------
    contrasts
        Mean contrast of each prompt. *Shape:* ``(prompt,)``.
    covariates
        Mean difference of each covariate, one row per prompt.
    n_clusters
        Number of clusters of each kind that have the relation.
    n_images, n_pairs
        Images and pairs.
    """

    contrasts: np.ndarray
    covariates: pd.DataFrame
    n_clusters: Sequence[int]
    n_images: int
    n_pairs: int


def estimate_relatedness(
    found: Adjusted,
    sample: Sample,
    spread: pd.Series,
    measure: str,
    *,
    accept: Sequence[str],
    shared: bool = False,
    margin: float | None = None,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    label: str = "relatedness",
) -> tuple[Estimate, str]:
    """Return the estimate and what it is an effect of.

    `shared` says whether prompts share their structures; the other parameters are those of `relatedness`.
    """
    fields = infer_difference(
        found.contributions,
        cluster,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        margin=margin,
        n_informative=sample.n_clusters,
    )
    low, high = bounds_of(measure)
    fields = truncated(fields, low - high, high - low)
    if found.adjusted:
        fields["method"] += ", adjusted for distance"
    estimate = Estimate(
        label,
        measure,
        found.contributions.estimate,
        level=level,
        effect_size=paired_dz(sample.contrasts),
        n_prompts=len(sample.contrasts),
        n_images=sample.n_images,
        n_pairs=sample.n_pairs,
        **fields,
    )
    balance = exchange_balance(
        sample.covariates, spread, measure, adjusted=found.adjusted, seed=seed
    )
    estimate = judged(estimate, balance, accept)
    if cluster == "structure" and estimate.reason:
        estimate = replace(estimate, reason=f"{estimate.reason} ({FEW_STRUCTURES})")
    included = ["distance"] if "distance" in accept and not found.balanced else []
    included += ["place"] if "place" in accept and shared else []
    imbalances = tuple(dict.fromkeys((*included, *estimate.imbalances)))
    estimate = replace(estimate, imbalances=imbalances)
    return estimate, " plus ".join(["relation", *estimate.imbalances])


def exchange_balance(
    covariates: pd.DataFrame, spread: pd.Series, measure: str, *, adjusted: bool, seed: int = 0
) -> Balance:
    """Return the balance of related and exchanged pairs in what was not adjusted for.

    Parameters
    ----------
    covariates
        What related pairs have more of each covariate, one row per prompt.
    spread
        Standard deviation of each covariate between pairs.
    measure
        The measure; areas are not covariates of an area.
    adjusted
        Whether distance was adjusted for.
    seed
        Seed of the sign flips.
    """
    names = pd.Index(covariates.columns)
    held = adjusted_for(list(names)) if adjusted else []
    kept = pd.Index(
        [
            name
            for name in names
            if name not in held and not (name.endswith("area") and measure in OF_AREAS)
        ]
    )
    values = covariates.to_numpy(float)[:, names.get_indexer(kept)]
    # What cancels up to rounding does not differ.
    values = np.where(np.abs(values) > ROUNDING, values, 0.0)
    deviations = spread.to_numpy(float)[spread.index.get_indexer(kept)]
    shown = [name.replace("_", " ") for name in kept]
    means = {name: (mean, 0.0) for name, mean in zip(shown, values.mean(axis=0), strict=True)}
    frame = pd.DataFrame(values, columns=shown)
    return judge(frame, deviations, means, None, sign_patterns(len(values), seed))
