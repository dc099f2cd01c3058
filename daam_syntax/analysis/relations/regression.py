"""Regressions of a measure on groups of pairs and covariates."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from daam_syntax.analysis.checks import check_level, check_table
from daam_syntax.analysis.exchange.contrasts import TIERS, exchange_partners
from daam_syntax.analysis.formatting import format_p, format_sample
from daam_syntax.analysis.inference.contributions import cluster_codes, codes_of
from daam_syntax.analysis.inference.differences import check_accepted, check_direction
from daam_syntax.analysis.inference.sample import (
    MIN_CLUSTERS,
    Clusters,
    check_rows,
    cluster_columns,
    sample_sizes,
    too_few,
)
from daam_syntax.analysis.inference.side_balance import balance
from daam_syntax.analysis.relations.estimates import FEW_STRUCTURES, samples_structures
from daam_syntax.analysis.relations.regression_models import (
    MODELS,
    ModelData,
    NotFittedError,
    fit_model,
)
from daam_syntax.analysis.statistics.cluster_robust import Fit, within_groups
from daam_syntax.analysis.statistics.multiplicity import Correction, adjust_p
from daam_syntax.util.wording import listed

Model = Literal["ols", "gee", "mixed"]
"""Least squares, fractional logit or mixed effects; see `regress`."""

EXCHANGED: Final = "exchanged"
"""Reference of exchanged partners, see `exchange_partners`."""

COVARIATES: Final = ("log_distance", "linear_distance", "adjacency", "subwords")
"""Default covariates: the distance between the two words in three forms, and their number of subwords."""

_DISTANCES: Final = COVARIATES[:3]

AREAS: Final = ("log_head_area", "log_dependent_area")
"""Covariates that ``areas=True`` adds, only for sensitivity analyses: the area of a mask is part of its overlap."""

_SOURCES: Final = {
    "log_distance": ("linear_distance",),
    "adjacency": ("linear_distance",),
    "subwords": ("head_subwords", "dependent_subwords"),
    "log_head_area": ("head_area",),
    "log_dependent_area": ("dependent_area",),
}
_HOLDS_CONSTANT: Final = {
    "log_distance": "distance",
    "linear_distance": "distance",
    "subwords": "subwords",
    "log_head_area": "area",
}
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
    n_missing: int

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
    accepted = check_accepted(accept)
    if within not in ("image", None):
        raise ValueError(f'Expected within="image" or None, but got {within!r}.')
    if tier not in TIERS:
        raise ValueError(f"Expected the tier {' or '.join(map(repr, TIERS))}, but got {tier!r}.")
    if model not in MODELS:
        raise ValueError(f"Expected one of the models {', '.join(MODELS)}, but got {model!r}.")
    both_kinds = "kind" in pairs and {"dependency", "unrelated"} <= set(pairs["kind"])
    if reference is None:
        reference = EXCHANGED if model == "ols" and both_kinds else "unrelated"
    if reference == "unrelated" and both_kinds:
        check_direction(pairs, pairs, measure)
    if by is None and both_kinds and reference != EXCHANGED:
        raise ValueError(
            f'Expected model="ols" with reference="exchanged" for a regression on covariates alone, but got {model!r} '
            f"with {reference!r}: without exchange, what the words are is mixed with how they are related."
        )
    if reference == EXCHANGED and model != "ols":
        raise ValueError(
            f'Expected model="ols" with reference="exchanged", but got {model!r}: pass reference="unrelated".'
        )
    names = [covariates] if isinstance(covariates, str) else covariates
    given = list(COVARIATES if names is None else names) + list(AREAS if areas else ())
    sources = [source for name in given for source in _SOURCES.get(name, (name,))]
    if by is None:
        pairs, by = pairs.assign(_all=EXCHANGED if reference == EXCHANGED else reference), "_all"
    rows = check_rows(pairs, [measure, by, *sources], cluster)
    _check(rows, measure, model, by, reference, cluster)
    values = pd.DataFrame({name: _covariate(rows, name) for name in given}, index=rows.index)
    complete = rows[measure].notna() & np.isfinite(values.to_numpy()).all(axis=1)
    if not complete.any():
        empty = [name for name in given if not np.isfinite(values[name].to_numpy()).any()]
        raise ValueError(
            f"Expected rows with a value of {measure} and of every covariate, but there are none"
            + (f": {listed(empty)} has no values, so leave it out" if empty else "")
            + "."
        )
    n_missing = int((~complete).sum())
    rows, values = rows[complete], values[complete]
    if reference == EXCHANGED:
        values = values.add_prefix("_covariate_")
        exchange = exchange_partners(
            rows.assign(**values), measure, symmetric=symmetric, covariates=list(values.columns)
        )
        rows = exchange.table[exchange.table["tier"] == tier].reset_index(drop=True)
        shared = rows["structure"].nunique() < rows["prompt_id"].nunique()
        if samples_structures(cluster, accepted, shared=shared):
            cluster = "structure"
        values = rows[list(values.columns)].set_axis(given, axis="columns")
        outcome, within = rows["contrast"].to_numpy(float), None
        in_group = (rows["kind"] == "dependency").to_numpy()
    else:
        outcome = rows[measure].to_numpy(float)
        in_group = (rows[by] != reference).to_numpy()
    if names is None:
        values = values.loc[:, _varies(values.to_numpy(float), rows, reference, within)]
    left_out = _groups_to_leave_out(rows[in_group], outcome[in_group], model, by)
    used = ~(in_group & rows[by].isin(left_out).to_numpy())
    if by == "_all":
        in_group = np.zeros(len(rows), bool)
    rows, values, outcome, in_group = rows[used], values[used], outcome[used], in_group[used]
    images = codes_of(rows, ["prompt_id", "image"])
    design = _design(rows, values, by, in_group, reference, images if within else None, model)
    for name in _redundant_distances(design):
        left_out[name] = "no different from the other terms in these pairs"
        design = design.drop(columns=name)
    data = ModelData(
        within_groups(outcome, images) if within and model == "ols" else outcome,
        design,
        cluster_codes(rows, cluster),
        codes_of(rows, "prompt_id"),
        images,
        codes_of(rows, by),
    )
    converged = True
    try:
        fit, reason = fit_model(model, data)
    except NotFittedError as problem:
        nothing = np.full(data.design.shape[1], np.nan)
        fit, converged, reason = Fit(nothing, nothing, nothing), False, str(problem)
        if cluster == "structure" and data.n_clusters < MIN_CLUSTERS:
            reason = too_few(data.n_clusters, "structure", "a regression") + f": {FEW_STRUCTURES}"
    terms = _terms(data.design.columns, fit, level)
    terms["reason"] = "" if converged else reason
    if converged and reference != EXCHANGED and by != "_all":
        _withhold(terms, rows, by, reference, measure, list(values.columns), accepted)
    missing = pd.DataFrame(
        {"term": name if name in given else f"{by}[{name}]", "reason": why}
        for name, why in left_out.items()
    )
    terms = pd.concat([terms, missing], ignore_index=True)
    tested = terms["term"] != "intercept"
    terms.insert(list(terms.columns).index("p") + 1, "p_adjusted", np.nan)
    terms.loc[tested, "p_adjusted"] = adjust_p(terms.loc[tested, "p"].to_numpy(float), correction)
    method = f"{_METHODS[model]}, clustered by {' and '.join(cluster_columns(cluster))}"
    if reference == EXCHANGED:
        method += f", {tier} exchange of partners"
    elif within:
        method += ", within images"
    return Regression(
        measure,
        terms,
        converged,
        reason,
        level,
        method,
        **sample_sizes(rows),
        n_missing=n_missing,
    )


def _check(
    rows: pd.DataFrame, measure: str, model: str, by: str, reference: str, cluster: Clusters
) -> None:
    if model != "ols" and not isinstance(cluster, str):
        raise ValueError(
            f'Expected one cluster column for model={model!r}, but got {cluster}: use "ols", which takes two.'
        )
    if np.isinf(rows[measure].to_numpy(float)).any():
        raise ValueError(f"Expected finite values of {measure}, but some are infinite.")
    if model == "gee" and not rows[measure].dropna().between(0, 1).all():
        raise ValueError(
            f'Expected a measure in [0, 1] for model="gee", but {measure} ranges from '
            f'{rows[measure].min():g} to {rows[measure].max():g}: use "ols" or "mixed".'
        )
    measured = rows[rows[measure].notna()]
    found = rows["kind"].eq("unrelated") if reference == EXCHANGED else rows[by].eq(reference)
    if not (found & rows[measure].notna()).any():
        groups = ", ".join(map(str, measured[by].unique())) or "none"
        wanted = "unrelated pairs" if reference == EXCHANGED else f"the reference {reference!r}"
        raise ValueError(
            f"Expected {wanted} among the measured groups of {by}, but these are {groups}."
        )


def _covariate(rows: pd.DataFrame, name: str) -> pd.Series:
    if name == "linear_distance":
        return rows[name].abs().astype(float)
    sources = [rows[column].astype(float) for column in _SOURCES.get(name, (name,))]
    if name == "log_distance":
        return sources[0].abs().clip(lower=1).map(np.log2)
    if name == "adjacency":
        return sources[0].abs().eq(1).astype(float).where(sources[0].notna())
    if name in AREAS:  # the area of an empty mask has no logarithm
        return sources[0].where(sources[0] > 0).map(np.log)
    return sum(sources[1:], sources[0])


def _varies(
    values: np.ndarray, rows: pd.DataFrame, reference: str, within: str | None
) -> np.ndarray:
    """Return which covariates vary in what is regressed. *Shape:* ``(covariate,)``, boolean."""
    if within:
        values = within_groups(values, codes_of(rows, ["prompt_id", "image"]))
    elif reference != EXCHANGED:  # exchanged values are differences already
        values = values - values.mean(axis=0)
    return np.asarray(np.abs(values).max(axis=0, initial=0.0) > 1e-9)


def _groups_to_leave_out(
    rows: pd.DataFrame, outcome: np.ndarray, model: str, by: str
) -> dict[str, str]:
    """Return the groups whose error cannot be estimated, with the reason."""
    reasons: dict[str, str] = {}
    if by == "_all":
        return reasons
    for name, values in rows.assign(_outcome=outcome).groupby(by):
        n = values["prompt_id"].nunique()
        if n < MIN_CLUSTERS:
            # The cluster-robust error of a group that occurs in only one cluster is always 0.
            reasons[str(name)] = f"in only {too_few(n, 'prompt', 'a group')}"
        elif model == "gee" and set(values["_outcome"]) in ({0.0}, {1.0}):
            always = values["_outcome"].iloc[0]
            reasons[str(name)] = f"always {always:g}: its log odds are infinite"
    return reasons


def _design(
    rows: pd.DataFrame,
    covariates: pd.DataFrame,
    by: str,
    in_group: np.ndarray,
    reference: str,
    images: np.ndarray | None,
    model: str,
) -> pd.DataFrame:
    """Return the columns of the terms; `images` centers them within images."""
    groups = sorted(rows.loc[in_group, by].unique())
    columns = {
        f"{by}[{name}]": (in_group & (rows[by] == name).to_numpy()).astype(float) for name in groups
    }
    design = pd.DataFrame(columns, index=rows.index).join(covariates)
    if reference == EXCHANGED:
        return design  # the outcome is a difference already
    if images is not None:
        design[:] = within_groups(design.to_numpy(float), images)
    else:
        design[list(covariates.columns)] -= covariates.mean()
    if images is None or model != "ols":
        design.insert(0, "intercept", 1.0)
    return design


def _redundant_distances(design: pd.DataFrame) -> list[str]:
    """Return forms of the distance that other terms determine, such as adjacency if there are only two distances."""
    kept = [name for name in design.columns if name not in _DISTANCES]
    redundant = []
    for name in (name for name in design.columns if name in _DISTANCES):
        varies = np.ptp(design[name]) > 1e-12
        if varies and np.linalg.matrix_rank(design[[*kept, name]]) <= len(kept):
            redundant.append(name)
        else:
            kept.append(name)
    return redundant


def _withhold(
    terms: pd.DataFrame,
    rows: pd.DataFrame,
    by: str,
    reference: str,
    measure: str,
    covariates: list[str],
    accepted: Sequence[str],
) -> None:
    """Remove the p-value of groups that differ from the reference in something that is not a covariate."""
    constant = {_HOLDS_CONSTANT[name] for name in covariates if name in _HOLDS_CONSTANT}
    control = rows[rows[by] == reference]
    for name, group in rows[rows[by] != reference].groupby(by):
        found = balance(group, control, measure=measure)
        differ = [x for x in found.imbalances if x not in constant and x not in accepted]
        if differ:
            term = terms["term"] == f"{by}[{name}]"
            terms.loc[term, "p"] = np.nan
            terms.loc[term, "reason"] = f"not tested: the sides differ in {listed(differ)}"


def _terms(names: Any, fit: Fit, level: float) -> pd.DataFrame:
    student = stats.t(np.maximum(fit.degrees, 1e-6))
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
