"""What a regression was asked for, and whether its arguments go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from daam_syntax.analysis.exchange.contrasts import TIERS
from daam_syntax.analysis.inference.differences import check_direction
from daam_syntax.analysis.inference.sample import Clusters
from daam_syntax.analysis.relations.comparisons import EXCHANGED
from daam_syntax.analysis.relations.covariates import AREAS, COVARIATES
from daam_syntax.analysis.relations.regression_models import MODELS


@dataclass(frozen=True)
class Request:
    """What a regression was asked for; the fields are the parameters of `regress`."""

    measure: str
    model: str
    by: str | None
    reference: str | None
    covariates: Sequence[str] | None
    areas: bool
    within: str | None
    tier: str
    accept: Sequence[str]
    cluster: Clusters
    symmetric: Sequence[str]

    def resolved(self, pairs: pd.DataFrame) -> Request:
        """Return the request with its reference chosen.

        Raises
        ------
        ValueError
            If an argument is unknown, or the arguments do not go together.
        """
        if self.within not in ("image", None):
            raise ValueError(f'Expected within="image" or None, but got {self.within!r}.')
        if self.tier not in TIERS:
            names = " or ".join(map(repr, TIERS))
            raise ValueError(f"Expected the tier {names}, but got {self.tier!r}.")
        if self.model not in MODELS:
            raise ValueError(
                f"Expected one of the models {', '.join(MODELS)}, but got {self.model!r}."
            )
        both_kinds = "kind" in pairs and {"dependency", "unrelated"} <= set(pairs["kind"])
        reference = self.reference
        if reference is None:
            reference = EXCHANGED if self.model == "ols" and both_kinds else "unrelated"
        if reference == "unrelated" and both_kinds:
            check_direction(pairs, pairs, self.measure)
        if self.by is None and both_kinds and reference != EXCHANGED:
            raise ValueError(
                'Expected model="ols" with reference="exchanged" for a regression on covariates alone, but got '
                f"{self.model!r} with {reference!r}: without exchange, what the words are is mixed with how they are "
                "related."
            )
        if reference == EXCHANGED and self.model != "ols":
            raise ValueError(
                f'Expected model="ols" with reference="exchanged", but got {self.model!r}: pass reference="unrelated".'
            )
        return replace(self, reference=reference)

    @property
    def names(self) -> list[str]:
        """Names of the covariates."""
        chosen = COVARIATES if self.covariates is None else self.covariates
        return [*chosen, *(AREAS if self.areas else ())]

    @property
    def exchanged(self) -> bool:
        """Whether pairs are compared with exchanged partners."""
        return self.reference == EXCHANGED
