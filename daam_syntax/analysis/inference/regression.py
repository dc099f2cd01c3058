"""Regressions of a measure on groups of pairs and covariates, by statsmodels."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from daam_syntax.analysis.checks import check_level, check_table
from daam_syntax.analysis.formatting import format_p, format_sample
from daam_syntax.analysis.inference.sample import (
    MIN_CLUSTERS,
    Clusters,
    check_rows,
    cluster_columns,
    sample_sizes,
    too_few,
)

Model = Literal["ols", "gee", "mixed"]
"""Least squares, fractional logit or mixed effects; see `regress`."""

COVARIATES: Final = ("linear_distance", "subwords")
"""Default covariates: the distance between the two words, and their number of subwords."""

AREAS: Final = ("log_head_area", "log_dependent_area")
"""Covariates that ``areas=True`` adds, only for sensitivity analyses: the area of a mask is part of its overlap."""

_SOURCES: Final = {
    "subwords": ("head_subwords", "dependent_subwords"),
    "log_head_area": ("head_area",),
    "log_dependent_area": ("dependent_area",),
}
_METHODS: Final[dict[str, str]] = {
    "ols": "least squares with cluster-robust errors (CR1) and t",
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
        One row per term: ``term``, ``estimate``, ``standard_error``, ``low``, ``high``, ``p``, and ``reason`` (why
        there is no estimate). Groups are differences from the reference, covariates are slopes per unit, and the
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
        return self.terms.round(4).assign(p=[format_p(value, 4) for value in self.terms["p"]])

    def _headline(self) -> str:
        n = format_sample(self.n_prompts, self.n_images, self.n_pairs)
        state = "" if self.converged else f"; NOT FITTED: {self.reason}"
        return f"Regression of {self.measure} ({self.method}; {n}{state})"


class _NotFittedError(Exception):
    """A fit gives no estimate; the message is the reason."""


@dataclass(frozen=True)
class _Data:
    """Input of a model: outcome, design, and the clusters of every row as codes."""

    outcome: np.ndarray
    design: pd.DataFrame
    clusters: np.ndarray
    rows: pd.DataFrame
    group: pd.Series


def regress(
    pairs: pd.DataFrame,
    measure: str = "iou",
    *,
    model: Model = "ols",
    by: str | None = "relation",
    reference: str = "unrelated",
    covariates: str | Sequence[str] = COVARIATES,
    areas: bool = False,
    cluster: Clusters = "prompt_id",
    level: float = 0.95,
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
        "ols": least squares with cluster-robust errors (Cameron and Miller 2015), one-way or two-way. "gee":
        fractional logit for measures in [0, 1] that may reach 0 and 1 (Papke and Wooldridge 1996), with an independence
        working correlation and bias-reduced errors (Mancl and DeRouen 2001). "mixed": random intercepts of clusters,
        and within them of prompts, groups and images (Barr et al. 2013 explain why groups need them). All use Student's
        t with cluster - 1 degrees of freedom.
    by
        Column of the groups; None to use only covariates, for instance ``tree_distance`` as a dose.
    reference
        Group that the other groups are compared with.
    covariates
        "linear_distance" (its absolute value), "subwords" (the sum of both words), or any numeric columns. They are
        centered.
    areas
        Whether to add the logarithms of both areas, as a sensitivity analysis: area is part of overlap.
    cluster
        The independent units, see `estimate_mean`; two columns only with "ols".
    level
        Confidence level.

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
    covariates = [covariates] if isinstance(covariates, str) else covariates
    names = [*covariates, *(AREAS if areas else ())]
    needed = [source for name in names for source in _SOURCES.get(name, (name,))]
    if by is None:
        pairs, by = pairs.assign(_all=reference), "_all"
    rows = check_rows(pairs, [measure, by, *needed], cluster)
    _check(rows, measure, model, by, reference, cluster)
    values = pd.DataFrame({name: _covariate(rows, name) for name in names}, index=rows.index)
    complete = rows[measure].notna() & np.isfinite(values.to_numpy()).all(axis=1)
    left_out = _groups_to_leave_out(rows[complete], measure, model, by, reference)
    used = rows[complete & ~rows[by].isin(left_out)]
    clusters = cluster_columns(cluster)
    data = _Data(
        used[measure].to_numpy(float),
        _design(used, values.loc[used.index], by, reference),
        np.column_stack([pd.factorize(used[column])[0] for column in clusters]),
        used,
        used[by],
    )
    degrees = min(used[column].nunique() for column in clusters) - 1
    converged = True
    try:
        estimates, errors, reason = _fit(model, data, degrees)
    except _NotFittedError as problem:
        estimates = errors = np.full(data.design.shape[1], np.nan)
        converged, reason = False, str(problem)
    terms = _terms(data.design.columns, estimates, errors, degrees, level)
    terms["reason"] = "" if converged else reason
    missing = pd.DataFrame(
        {"term": f"{by}[{name}]", "reason": why} for name, why in left_out.items()
    )
    return Regression(
        measure,
        pd.concat([terms, missing], ignore_index=True),
        converged,
        reason,
        level,
        f"{_METHODS[model]}, clustered by {' and '.join(clusters)}",
        **sample_sizes(used),
        n_missing=int((~complete).sum()),
    )


def _check(
    rows: pd.DataFrame, measure: str, model: str, by: str, reference: str, cluster: Clusters
) -> None:
    if model not in _FITS:
        raise ValueError(f"Expected one of the models {', '.join(_FITS)}, but got {model!r}.")
    if model != "ols" and not isinstance(cluster, str):
        raise ValueError(
            f'Expected one cluster column for model={model!r}, but got {cluster}: use "ols", which takes two.'
        )
    if model == "gee" and not rows[measure].dropna().between(0, 1).all():
        raise ValueError(
            f'Expected a measure in [0, 1] for model="gee", but {measure} ranges from '
            f'{rows[measure].min():g} to {rows[measure].max():g}: use "ols" or "mixed".'
        )
    if not (rows[by].eq(reference) & rows[measure].notna()).any():
        raise ValueError(
            f"Expected the reference {reference!r} among the measured groups of {by}, but these are "
            f"{', '.join(map(str, rows.loc[rows[measure].notna(), by].unique())) or 'none'}."
        )


def _covariate(rows: pd.DataFrame, name: str) -> pd.Series:
    if name == "linear_distance":
        return rows[name].abs().astype(float)
    sources = [rows[column].astype(float) for column in _SOURCES.get(name, (name,))]
    if name in AREAS:  # the area of an empty mask has no logarithm
        return sources[0].where(sources[0] > 0).map(np.log)
    return sum(sources[1:], sources[0])


def _groups_to_leave_out(
    rows: pd.DataFrame, measure: str, model: str, by: str, reference: str
) -> dict[str, str]:
    """Return the groups whose error cannot be estimated, with the reason."""
    reasons = {}
    for name, values in rows.groupby(by):
        n = values["prompt_id"].nunique()
        constant = model == "gee" and set(values[measure]) in ({0.0}, {1.0})
        if n < MIN_CLUSTERS and name != reference:
            # The cluster-robust error of a group that occurs in only one cluster is always 0.
            reasons[str(name)] = f"in only {too_few(n, 'prompt', 'a group')}"
        elif constant and name != reference:
            reasons[str(name)] = f"always {values[measure].iloc[0]:g}: its log odds are infinite"
    return reasons


def _design(rows: pd.DataFrame, covariates: pd.DataFrame, by: str, reference: str) -> pd.DataFrame:
    groups = [name for name in sorted(rows[by].unique()) if name != reference]
    columns = {"intercept": np.ones(len(rows))}
    columns |= {f"{by}[{name}]": (rows[by] == name).to_numpy(float) for name in groups}
    return pd.DataFrame(columns, index=rows.index).join(covariates - covariates.mean())


def _fit(model: str, data: _Data, degrees: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return estimates, standard errors and warnings; raise `_NotFittedError` if there are none."""
    if degrees < MIN_CLUSTERS - 1:
        raise _NotFittedError(too_few(degrees + 1, "cluster", "a regression"))
    rank = int(np.linalg.matrix_rank(data.design))
    if rank < data.design.shape[1]:
        constant = [str(c) for c in data.design.columns[1:] if np.ptp(data.design[c]) == 0]
        raise _NotFittedError(
            f"{data.design.shape[1]} terms, but only {rank} can be distinguished"
            + (f" ({', '.join(constant)} does not vary)" if constant else "")
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimates, errors = _FITS[model](data)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as error:
            raise _NotFittedError(f"the fit failed: {error}") from error
    if not (np.isfinite(estimates).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise _NotFittedError("the fit gave no finite standard errors")
    return estimates, errors, "; ".join(dict.fromkeys(str(w.message) for w in caught))


def _fit_ols(data: _Data) -> tuple[np.ndarray, np.ndarray]:
    import statsmodels.api as sm

    groups = data.clusters if data.clusters.shape[1] == 2 else data.clusters[:, 0]
    fit = sm.OLS(data.outcome, data.design.to_numpy()).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}
    )
    return fit.params, fit.bse


def _fit_gee(data: _Data) -> tuple[np.ndarray, np.ndarray]:
    import statsmodels.api as sm

    model = sm.GEE(
        data.outcome,
        data.design.to_numpy(),
        groups=data.clusters[:, 0],
        family=sm.families.Binomial(),
        cov_struct=sm.cov_struct.Independence(),
    )
    fit = model.fit(cov_type="bias_reduced")
    if not fit.converged:
        raise _NotFittedError("the estimating equations did not converge")
    return fit.params, fit.bse


def _fit_mixed(data: _Data) -> tuple[np.ndarray, np.ndarray]:
    import statsmodels.api as sm

    # Neutral column names, because the design is passed through a formula.
    names = [f"x{i}" for i in range(data.design.shape[1])]
    frame = pd.DataFrame(data.design.to_numpy(), columns=names)
    prompts = pd.factorize(data.rows["prompt_id"])[0]
    frame = frame.assign(
        y=data.outcome,
        cluster=data.clusters[:, 0],
        prompt=prompts,
        group=pd.factorize(data.group)[0],
        image=data.rows.groupby(["prompt_id", "image"]).ngroup().to_numpy(),
    )
    frame["cell"] = frame.groupby(["prompt", "group"]).ngroup()
    n = frame.nunique()
    above = {"prompt": n["cluster"], "cell": n["prompt"], "image": n["prompt"]}
    # A level gets a variance only if it divides the level above it and does not coincide with the rows.
    levels = {x: f"0 + C({x})" for x, divided in above.items() if divided < n[x] < len(frame)}
    model = sm.MixedLM.from_formula(
        f"y ~ 0 + {' + '.join(names)}", groups="cluster", vc_formula=levels or None, data=frame
    )
    fit = model.fit(reml=True)
    if not fit.converged:
        raise _NotFittedError("the likelihood did not converge")
    return fit.fe_params.to_numpy(), fit.bse_fe.to_numpy()


_FITS: Final[dict[str, Callable[[_Data], tuple[np.ndarray, np.ndarray]]]] = {
    "ols": _fit_ols,
    "gee": _fit_gee,
    "mixed": _fit_mixed,
}


def _terms(
    names: Any, estimates: np.ndarray, errors: np.ndarray, degrees: int, level: float
) -> pd.DataFrame:
    student = stats.t(max(degrees, 1))
    half = student.ppf((1 + level) / 2) * errors
    return pd.DataFrame(
        {
            "term": list(names),
            "estimate": estimates,
            "standard_error": errors,
            "low": estimates - half,
            "high": estimates + half,
            "p": 2 * student.sf(np.abs(estimates / errors)),
        }
    )
