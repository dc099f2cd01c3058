"""Variance of what a relation adds, to plan how many prompts and seeds a study needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.contrasts import exchange_partners
from daam_syntax.analysis.inference.means import prompt_means
from daam_syntax.analysis.inference.power import VarianceComponents, variance_components
from daam_syntax.analysis.relations.estimates import estimate_relations
from daam_syntax.util.arguments.checks import checked


@checked
def relation_components(
    pairs: pd.DataFrame, relation: str, measure: str = "iou", *, symmetric: Sequence[str] = ()
) -> VarianceComponents:
    """Split the variance of what a relation adds into variance between prompts and between images.

    Parameters
    ----------
    pairs
        A pair table of one scheme and one threshold, with unrelated pairs: the pilot.
    relation
        The relation.
    measure
        Column of the measure.
    symmetric
        See `exchange_partners`.

    Returns
    -------
    VarianceComponents
        For `power_table`. An adjustment for distance makes a difference less precise, so both variances are multiplied
        by the square of the ratio of the errors with and without it, if that is above 1.

    Raises
    ------
    ValueError
        If the relation has no exchanged pairs, or the pilot is too small, see `variance_components`.
    """
    found = estimate_relations(
        pairs, measure=measure, symmetric=symmetric, accept=("place",), n_resamples=1
    )
    if relation not in found or not found[relation].tier:
        known = ", ".join(name for name, result in found.items() if result.tier) or "none"
        raise ValueError(
            f"Expected a relation with exchanged pairs ({known}), but got {relation!r}: choose one of these, or add "
            "prompts with several words of a part of speech."
        )
    result = found[relation]
    exchange = exchange_partners(pairs, measure, symmetric=symmetric)
    related, exchanged = exchange.sides(relation, result.tier)
    components = variance_components(related, exchanged, measure)
    contrasts = prompt_means(related, measure) - prompt_means(exchanged, measure)
    error = float(contrasts.std() / np.sqrt(len(contrasts)))
    ratio = result.estimate.standard_error / error if error > 0 else 1.0
    inflation = max(1.0, float(np.nan_to_num(ratio, nan=1.0)) ** 2)
    return replace(
        components,
        difference=result.estimate.estimate,
        between_prompts=inflation * components.between_prompts,
        within_prompts=inflation * components.within_prompts,
    )
