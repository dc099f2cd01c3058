"""Comparison of the groups of a summary with their control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.matrices import lacking_for_exchange
from daam_syntax.analysis.inference.differences import estimate_difference
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.means import estimate_mean
from daam_syntax.analysis.relations.estimates import (
    NOTHING_TO_EXCHANGE,
    Relatedness,
    can_exchange,
    estimate_groups,
)

DESCRIPTIVE_CONTROLS: Final = {
    "shifted": "two words of an image can exceed shifted maps without being related",
    "cross-prompt": "two words of an image can exceed words of other images without being related",
}
"""Controls that do not test relatedness, with the reason."""

EXCHANGED: Final = "exchanged"
"""Name of the default control: the same words with exchanged partners, see `exchange_partners`."""

RULE: Final = ["scheme", "threshold"]
"""Columns within which groups are compared."""


class Comparison(Protocol):
    """What compares the groups of a summary with their control."""

    def rows(self, measure: str, *, means: bool = True) -> list[dict[str, Any]]:
        """Return the columns of inference of every group, in their order; of means only if they are asked for."""
        ...


class PairComparison:
    """Compares the groups of a pair table with their control, by one measure at a time.

    The parameters are those of `summarize`; `options` are passed to estimates.
    """

    def __init__(
        self,
        pairs: pd.DataFrame,
        groups: list[str],
        by: list[str],
        control: str,
        tier: str | None,
        accept: Sequence[str],
        symmetric: Sequence[str],
        options: dict[str, Any],
    ) -> None:
        self.pairs, self.by, self.control = pairs, by, control
        self.tier, self.accept, self.symmetric = tier, accept, symmetric
        self.options = options
        self.groups = [rows for _, rows in pairs.groupby(groups, dropna=False)]

    def rows(self, measure: str, *, means: bool = True) -> list[dict[str, Any]]:
        """Return the columns of inference of every group, in their order; of means only if they are asked for."""
        nothing: dict[str, Any] = {"note": ""}
        found = [self._mean(rows, measure) if means else nothing for rows in self.groups]
        if self.control == EXCHANGED:
            return self._against_exchanged(measure, found)
        return [
            row | self._against(rows, reference, measure, row["note"])
            for row, rows, reference in zip(found, self.groups, self._references(), strict=True)
        ]

    def _mean(self, rows: pd.DataFrame, measure: str) -> dict[str, Any]:
        mean = estimate_mean(rows, measure, **self.options)
        return {"low": mean.low, "high": mean.high, "note": mean.reason}

    def _against_exchanged(self, measure: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        reason = lacking_for_exchange(self.pairs.columns, measure, self.symmetric)
        if reason or not can_exchange(self.pairs):
            reason = reason or NOTHING_TO_EXCHANGE
            return [row | {"note": "; ".join(filter(None, [row["note"], reason]))} for row in found]
        number = pd.Series(-1, index=self.pairs.index)
        for place, rows in enumerate(self.groups):
            number.loc[rows.index] = place
        results = estimate_groups(
            self.pairs,
            number,
            measure,
            symmetric=self.symmetric,
            accept=self.accept,
            tier=self.tier,
            **self.options,
        )
        return [
            row | related_columns(results[place], row["note"]) if place in results else row
            for place, row in enumerate(found)
        ]

    def _references(self) -> Iterator[pd.DataFrame | None]:
        """Yield the control rows of each group; None for a control."""
        controls = self.pairs[self.pairs["kind"] == self.control]
        named = "relation" in self.by and not controls["relation"].eq(self.control).all()
        shared = [*RULE, *(c for c in self.by if c not in (*RULE, "kind", "relation"))]
        shared += ["relation"] if named else []
        shared = list(dict.fromkeys(shared))
        # Compare codes: missing values, such as unknown seeds, match as codes but not with ==.
        codes = self.pairs.groupby(shared, dropna=False).ngroup()
        for rows in self.groups:
            if (rows["kind"] == self.control).all():
                yield None
            else:
                yield controls[codes[controls.index] == codes[rows.index[0]]]

    def _against(
        self, rows: pd.DataFrame, control: pd.DataFrame | None, measure: str, note: str
    ) -> dict[str, Any]:
        if control is None:
            return {}
        if control[measure].notna().sum() == 0:
            return {"note": "; ".join(filter(None, [note, "no control to compare with"]))}
        estimate = estimate_difference(rows, control, measure, accept=self.accept, **self.options)
        if self.control in DESCRIPTIVE_CONTROLS and not self.accept:
            estimate = replace(estimate, p=np.nan, untested=DESCRIPTIVE_CONTROLS[self.control])
        effect = " plus ".join(["relation", *estimate.imbalances])
        return difference_columns(estimate, note) | {"effect": effect}


def related_columns(result: Relatedness, reason: str) -> dict[str, Any]:
    """Return what a relation adds as columns of a summary; `reason` is the note of the group's mean."""
    return difference_columns(result.estimate, reason) | {
        "tier": result.tier,
        "matched": result.matched,
        "effect": result.effect,
    }


def difference_columns(difference: Estimate, reason: str) -> dict[str, Any]:
    """Return a difference as columns of a summary; `reason` is the note of the group's mean."""
    notes = [reason]
    if difference.reason != reason:
        notes.append(difference.reason and f"difference: {difference.reason}")
    if difference.untested:
        notes.append(f"not tested: {difference.untested}")
    return {
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "effect_size": difference.effect_size,
        "p": difference.p,
        "least_p": difference.least_p,
        "n_paired": difference.n_prompts,
        "note": "; ".join(filter(None, notes)),
    }
