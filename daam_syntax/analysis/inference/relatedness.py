"""What a relation adds to the overlap of its words, by exchange of partners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.contrasts import LEAST_SHARE, TIERS, Exchange
from daam_syntax.analysis.inference.adjustment import DISTANCES, Contrasts, adjust_for_distance
from daam_syntax.analysis.inference.balance import OF_AREAS, Balance, judge, sign_patterns
from daam_syntax.analysis.inference.contributions import cluster_codes, codes_of, infer_difference
from daam_syntax.analysis.inference.differences import judged
from daam_syntax.analysis.inference.effects import paired_dz
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.means import bounds_of, truncated
from daam_syntax.analysis.inference.sample import Clusters


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
    """

    exchange: Exchange
    contrasts: Contrasts
    related: np.ndarray
    tiers: np.ndarray

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
        return cls(exchange, contrasts, table["kind"].eq("dependency").to_numpy(bool), tiers)


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
    shares = dict(zip(TIERS, (counts / max(n_measured, 1)).tolist(), strict=True))
    wanted = tier or next((name for name in TIERS if shares[name] >= LEAST_SHARE), "")
    if not wanted or not shares[wanted]:
        reason = "no like words to exchange with"
        if max(shares.values()) > 0:
            reason = f"like words for only {max(shares.values()):.0%} of the pairs"
        return Relatedness(Estimate(label, measure, np.nan, reason=reason), "", 0.0, "")
    of_tier = arrays.tiers == list(TIERS).index(wanted)
    rows = arrays.contrasts.where(chosen & of_tier)
    others = arrays.contrasts.where(unrelated & of_tier & ("distance" not in accept))
    found = adjust_for_distance(rows, others)
    one_way = isinstance(cluster, str)
    fields = infer_difference(
        found.contributions,
        cluster,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        margin=margin,
        n_informative=len(np.unique(rows.clusters[0])) if one_way else None,
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
        effect_size=paired_dz(rows.by_prompt(rows.contrast)),
        n_prompts=len(np.unique(rows.prompts)),
        n_images=len(np.unique(rows.images)),
        n_pairs=len(rows),
        **fields,
    )
    estimate = judged(
        estimate, _balance(rows, arrays.exchange.spread, measure, found.adjusted, seed), accept
    )
    if "distance" in accept and not found.balanced:
        imbalances = tuple(dict.fromkeys(("distance", *estimate.imbalances)))
        estimate = replace(estimate, imbalances=imbalances)
    effect = " plus ".join(["relation", *estimate.imbalances])
    return Relatedness(estimate, wanted, shares[wanted], effect)


def _balance(
    rows: Contrasts, spread: pd.Series, measure: str, adjusted: bool, seed: int
) -> Balance:
    """Return the balance of related and exchanged pairs in what was not adjusted for."""
    names = [
        name
        for name in rows.names
        if not (adjusted and name in DISTANCES)
        and not (name.endswith("area") and measure in OF_AREAS)
    ]
    found = rows.by_prompt(rows.covariates[:, [rows.names.index(name) for name in names]])
    found[np.abs(found) < 1e-9] = 0.0  # an exchange that cancels is no difference
    shown = [name.replace("_", " ") for name in names]
    values = pd.DataFrame(found, columns=shown)
    means = {name: (float(values[name].mean()), 0.0) for name in shown}
    deviations = spread[names].set_axis(shown)
    return judge(values, deviations, means, None, sign_patterns(len(values), seed))
