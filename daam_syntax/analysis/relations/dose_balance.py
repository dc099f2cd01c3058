"""Whether what differs by a dose, such as the distance in the tree, also differs in something else."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.contrasts import Exchange
from daam_syntax.analysis.relations.estimates import exchange_balance
from daam_syntax.util.wording import listed


def imbalanced_doses(
    doses: Sequence[str],
    design: pd.DataFrame,
    table: pd.DataFrame,
    exchange: Exchange,
    measure: str,
    *,
    properties: Sequence[str],
    constant: Collection[str] = (),
    accept: Collection[str] = (),
) -> dict[str, str]:
    """Return the doses along which exchanged partners differ in something that is not constant, with the reason.

    Parameters
    ----------
    doses
        Columns of the design that are not controls.
    design
        Contrasts of everything that the measure is regressed on, one row per row of the table.
    table
        Rows of one tier of the exchange.
    exchange, measure
        The exchange, and the measure.
    properties
        Columns of the table with what partners may differ by.
    constant, accept
        Properties that the regression holds constant, and those that are accepted, see `balance`.

    Notes
    -----
    Each property is regressed on the design like the measure. Its slope along the dose is a mean of contributions of
    the prompts, whose balance is tested like that of a relation.
    """
    prompts, codes = np.unique(table["prompt_id"], return_inverse=True)
    values = table[list(properties)].to_numpy(float)
    reasons = {}
    for dose in doses:
        others = design.drop(columns=dose).to_numpy(float)
        column = design[dose].to_numpy(float)
        left = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        size = (left**2).sum()
        if size <= 0:
            continue
        slopes = np.zeros((len(prompts), values.shape[1]))
        np.add.at(slopes, codes, left[:, None] * values)
        found = exchange_balance(
            pd.DataFrame(slopes * len(prompts) / size, columns=list(properties)),
            exchange.spread,
            measure,
            adjusted="distance" in constant,
        )
        differ = [x for x in found.imbalances if x not in constant and x not in accept]
        if differ:
            reasons[dose] = f"exchanged partners differ in {listed(differ)}"
    return reasons
