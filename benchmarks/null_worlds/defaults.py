"""The claims of the default recipes, with one exchange of partners for both: several times as fast as `summarize`."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.null_worlds.claims import POOLED, Claim
from benchmarks.null_worlds.recipes import N_RESAMPLES
from benchmarks.null_worlds.studies import Study
from daam_syntax.analysis import adjust_p, exchange_partners
from daam_syntax.analysis.relations.estimates import ExchangeArrays, Relatedness, relatedness

_MEASURES: Final = ("iou", "phi")


def default_claims(study: Study) -> dict[str, list[Claim]]:
    """Return the claims of ``summarize(pairs)`` and of ``summarize(pairs, "kind")`` by name of the recipe.

    A test compares them with those of `summarize`.
    """
    found: dict[str, list[Claim]] = {"summarize": [], "summarize, by kind": []}
    pairs = study.pairs
    for measure in _MEASURES:
        cluster = study.world.cluster
        arrays = ExchangeArrays.of(exchange_partners(pairs, measure), cluster)
        relations = arrays.exchange.table["relation"].to_numpy()
        measured = pairs.loc[pairs["kind"].eq("dependency") & pairs[measure].notna(), "relation"]
        counts = measured.value_counts()

        rows = {str(name): arrays.related & (relations == name) for name in counts.index}
        sizes = [*map(int, counts), int(counts.sum())]
        results = {
            name: relatedness(
                arrays, chosen, ~arrays.related, n, cluster=cluster, n_resamples=N_RESAMPLES
            )
            for (name, chosen), n in zip(
                {**rows, POOLED: arrays.related}.items(), sizes, strict=True
            )
        }
        found["summarize, by kind"] += _claims(measure, {POOLED: results.pop(POOLED)})
        found["summarize"] += _claims(measure, results)
    return found


def _claims(measure: str, results: dict[str, Relatedness]) -> list[Claim]:
    estimates = {name: result.estimate for name, result in results.items()}
    p = np.array([estimate.p for estimate in estimates.values()])
    least = np.array([estimate.least_p for estimate in estimates.values()])
    adjusted = adjust_p(p, least=least)
    return [
        Claim(measure, name, e.estimate, e.low, e.high, e.p, float(q), bool(np.isnan(e.p)))
        for (name, e), q in zip(estimates.items(), adjusted, strict=True)
        if not np.isnan(e.estimate)
    ]
