"""Regressions of a measure on groups of pairs and covariates."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import scipy

from daam_syntax.analysis.checks import check_level, check_table
from daam_syntax.analysis.formatting import format_p, format_sample
from daam_syntax.analysis.inference.differences import check_accepted
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.sample import (
    MIN_CLUSTERS,
    Clusters,
    cluster_columns,
    sample_sizes,
    too_few,
)
from daam_syntax.analysis.relations.estimates import FEW_STRUCTURES
from daam_syntax.analysis.relations.regression_models import NotFittedError, fit_model
from daam_syntax.analysis.relations.regression_request import Request
from daam_syntax.analysis.relations.regression_sample import make_sample
from daam_syntax.analysis.statistics.cluster_robust import Fit
from daam_syntax.analysis.statistics.multiplicity import Correction, adjust_p
from daam_syntax.util.arguments.checks import NUMBER, OWN, checked

Model = Literal["ols", "gee", "mixed"]
"""Least squares, fractional logit or mixed effects; see `regress`."""

_METHODS: Final[dict[str, str]] = {
    "ols": "least squares with cluster-robust errors (CR2) and Satterthwaite's t",
    "gee": "fractional logit by GEE with bias-reduced errors and t",
    "mixed": "linear mixed model by REML with t",
}


@dataclass(frozen=True, eq=False, repr=False)
class Regression:
    """The result of a regression, or the reason why there is none.

    Attributes
    ----------
    measure
        The outcome.
    terms
        One row per term: ``term``, ``estimate``, ``standard_error``, ``degrees`` (of freedom), ``low``, ``high``,
        ``p``, ``p_adjusted`` (corrected for the number of terms), and ``reason`` (why there is no estimate or no
        test). Groups are differences from the reference, covariates are slopes per unit, and the
        intercept is the reference at the means of the covariates. Units are those of the measure; for "gee", log odds.
    converged
        Whether the estimates can be used.
    reason
        Why they cannot be used; for a usable fit, its warnings.
    level
        Confidence level of the intervals.
    method
        Model, errors and clusters.
    n_prompts, n_images, n_pairs
        Size of the sample.
    n_clusters
        Number of independent units, of the kind with fewer.
    n_missing
        Rows without a value of the outcome or of a covariate.
    """

    measure: str
    terms: pd.DataFrame
    converged: bool
    reason: str
    level: float
    method: str
    n_prompts: int
    n_images: int
    n_pairs: int
    n_clusters: int
    n_missing: int

    @checked
    def estimate(self, term: str, label: str = "") -> Estimate:
        """Return a term as an estimate.

        Parameters
        ----------
        term
            Name of the term.
        label
            Name of the estimate; that of the term by default.

        Raises
        ------
        ValueError
            If there is no such term.
        """
        rows = self.terms[self.terms["term"] == term]
        if rows.empty:
            raise ValueError(
                f"Expected one of the terms {', '.join(self.terms['term'])}, but got {term!r}."
            )
        found = rows.iloc[0].to_dict()
        return Estimate(
            label or term,
            self.measure,
            float(found["estimate"]),
            low=float(found["low"]),
            high=float(found["high"]),
            p=float(found["p"]),
            level=self.level,
            standard_error=float(found["standard_error"]),
            n_prompts=self.n_prompts,
            n_images=self.n_images,
            n_pairs=self.n_pairs,
            n_clusters=self.n_clusters,
            method=self.method,
            reason=str(found["reason"]),
        )

    def __repr__(self) -> str:
        return f"{self._headline()}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._headline())}</p>{self._shown().to_html(index=False)}"

    def _shown(self) -> pd.DataFrame:
        """Return the terms for display, rounded, without a p-value of 0."""
        shown = {
            name: [format_p(value, 4) for value in self.terms[name]] for name in ("p", "p_adjusted")
        }
        return self.terms.round(4).assign(**shown)

    def _headline(self) -> str:
        n = format_sample(self.n_prompts, self.n_images, self.n_pairs)
        state = "" if self.converged else f"; NOT FITTED: {self.reason}"
        return f"Regression of {self.measure} ({self.method}; {n}{state})"


@checked(level=NUMBER, pairs=OWN, cluster=OWN)
def regress(
    pairs: pd.DataFrame,
    measure: str = "iou",
    *,
    model: Model = "ols",
    by: str | None = "relation",
    reference: str | None = None,
    covariates: str | Sequence[str] | None = None,
    areas: bool = False,
    within: Literal["image"] | None = "image",
    tier: str = "two-sided",
    accept: str | Sequence[str] = (),
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
    correction: Correction = "holm",
    symmetric: Sequence[str] = (),
) -> Regression:
    """Regress a measure on groups of pairs and covariates, with prompts as the sample.

    Unlike in `summarize`, every pair has the same weight. A fit that fails or does not converge returns a result with a
    reason: never an exception, and never a number.

    Parameters
    ----------
    pairs
        Rows of the pair table of one scheme and one threshold.
    measure
        The outcome.
    model
        "ols": least squares with cluster-robust errors, one-way or two-way, see
        `daam_syntax.analysis.statistics.cluster_robust.least_squares`. "gee": fractional logit for measures in [0, 1]
        that may reach 0 and 1 (Papke and Wooldridge 1996), with an independence working correlation and bias-reduced
        errors (Mancl and DeRouen 2001). "mixed": random intercepts of clusters, and within them of prompts, groups and
        images (Barr et al. 2013 explain why groups need them). The last two use Student's t with one degree of freedom
        less than there are clusters in which the term varies.
    by
        Column of the groups; None to use only covariates, for instance ``tree_distance`` as a dose.
    reference
        What groups are compared with. "exchanged" (only for "ols"): the same words with exchanged partners, see
        `exchange_partners`; unrelated pairs, treated in the same way, show what the covariates do. Or a group, such as
        "unrelated". None: "exchanged" for "ols" if the table has unrelated pairs, otherwise "unrelated".
    covariates
        "log_distance" (to base 2), "adjacency" (1 for adjacent words), "linear_distance" (its absolute value),
        "subwords" (the sum of both words), or any numeric columns. Slopes per unit. None: `COVARIATES` that vary.
    areas
        Whether to add the logarithms of both areas, as a sensitivity analysis: area is part of overlap.
    within
        "image": pairs are compared within images, by fixed effects of images for "ols", otherwise by centering groups
        and covariates in each image. None: between images and prompts, too.
    tier
        Kind of the exchange, "two-sided" or "one-sided".
    accept
        Properties in which a group may differ from its reference, see `estimate_difference`. Without it, a group
        that differs in something that is not a covariate has no p-value.
    cluster
        The independent units, see `estimate_mean`; two columns only with "ols". With exchanged partners, structures of
        prompts (their parts of speech) are the units instead of prompts that share them, unless `accept` has "place".
    level
        Confidence level.
    correction
        Correction of ``p_adjusted`` for the number of terms without the intercept.
    symmetric
        See `exchange_partners`.

    Returns
    -------
    Regression
        Groups in fewer than `MIN_CLUSTERS` prompts are not fitted; they are terms with a reason.

    Raises
    ------
    ValueError
        If the table lacks a column or the reference, or if the model does not suit the measure or the clusters.
    """
    check_table(pairs)
    check_level(level)
    request = Request(
        measure=measure,
        model=model,
        by=by,
        reference=reference,
        covariates=(covariates,) if isinstance(covariates, str) else covariates,
        areas=areas,
        within=within,
        tier=tier,
        accept=check_accepted(accept),
        cluster=cluster,
        symmetric=symmetric,
    ).resolved(pairs)
    sample = make_sample(pairs, request)
    converged = True
    try:
        fit, reason = fit_model(model, sample.data)
    except NotFittedError as problem:
        nothing = np.full(sample.data.design.shape[1], np.nan)
        fit, converged, reason = Fit(nothing, nothing, nothing), False, str(problem)
        if sample.cluster == "structure" and sample.data.n_clusters < MIN_CLUSTERS:
            few = too_few(sample.data.n_clusters, "structure", "a regression")
            reason = f"{few}: {FEW_STRUCTURES}"
    terms = _terms(sample.data.design.columns, fit, level)
    terms["reason"] = "" if converged else reason
    if converged:
        for term, differ in sample.untested.items():
            terms.loc[terms["term"] == term, "p"] = np.nan
            terms.loc[terms["term"] == term, "reason"] = f"not tested: {differ}"
    missing = pd.DataFrame({"term": term, "reason": why} for term, why in sample.left_out.items())
    terms = pd.concat([terms, missing], ignore_index=True)
    tested = terms["term"] != "intercept"
    terms.insert(list(terms.columns).index("p") + 1, "p_adjusted", np.nan)
    terms.loc[tested, "p_adjusted"] = adjust_p(terms.loc[tested, "p"].to_numpy(float), correction)
    return Regression(
        measure,
        terms,
        converged,
        reason,
        level,
        f"{_METHODS[model]}, clustered by {' and '.join(cluster_columns(sample.cluster))}{sample.how}",
        **sample_sizes(sample.rows),
        n_clusters=sample.data.n_clusters,
        n_missing=sample.n_missing,
    )


def _terms(names: Any, fit: Fit, level: float) -> pd.DataFrame:
    student = scipy.stats.t(np.maximum(fit.degrees, 1e-6))
    half = student.ppf((1 + level) / 2) * fit.errors
    return pd.DataFrame(
        {
            "term": list(names),
            "estimate": fit.estimates,
            "standard_error": fit.errors,
            "degrees": fit.degrees,
            "low": fit.estimates - half,
            "high": fit.estimates + half,
            "p": 2 * student.sf(np.abs(fit.estimates / fit.errors)),
        }
    )
