"""The rows, outcome and design of a regression of pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.contrasts import Exchange, exchange_partners
from daam_syntax.analysis.exchange.matrices import ORDERS
from daam_syntax.analysis.inference.contributions import cluster_codes, codes_of
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS, Clusters, check_rows, too_few
from daam_syntax.analysis.inference.side_balance import balance
from daam_syntax.analysis.relations.covariates import (
    DISTANCE_FORMS,
    HELD_CONSTANT,
    SOURCES,
    covariate,
    redundant_distances,
    source_columns,
    without_rounding,
)
from daam_syntax.analysis.relations.dose_balance import imbalanced_doses
from daam_syntax.analysis.relations.estimates import exchange_balance, samples_structures
from daam_syntax.analysis.relations.regression_models import ModelData
from daam_syntax.analysis.relations.regression_request import Request
from daam_syntax.analysis.statistics.cluster_robust import within_groups
from daam_syntax.util.wording import listed, plural

_PREFIX: Final = "_covariate_"
_EVERYTHING: Final = "_all"  # the only group of a regression on covariates alone


@dataclass(frozen=True)
class RegressionSample:
    """What is fitted.

    Attributes
    ----------
    data
        Outcome, design, and clusters.
    rows
        The rows of the pair table, or of the exchange.
    cluster
        The independent units.
    left_out
        Terms that are not fitted, with the reason.
    untested
        Terms that are not tested, with the reason.
    how
        How pairs are compared, for the description of the method.
    n_missing
        Rows without a value of the outcome or of a covariate.
    """

    data: ModelData
    rows: pd.DataFrame
    cluster: Clusters
    left_out: dict[str, str]
    untested: dict[str, str]
    how: str
    n_missing: int


@dataclass(frozen=True)
class _Rows:
    """Rows with their outcome and covariates, before groups are chosen."""

    rows: pd.DataFrame
    outcome: np.ndarray
    covariates: pd.DataFrame
    in_group: np.ndarray
    cluster: Clusters
    within: bool
    exchange: Exchange | None = None

    def where(self, chosen: np.ndarray) -> _Rows:
        """Return some of the rows."""
        return replace(
            self,
            rows=self.rows[chosen],
            outcome=self.outcome[chosen],
            covariates=self.covariates[chosen],
            in_group=self.in_group[chosen],
        )


def make_sample(pairs: pd.DataFrame, request: Request) -> RegressionSample:
    """Return what a regression fits.

    Raises
    ------
    ValueError
        If the table lacks a column or the reference, or if the model does not suit the measure or the clusters.
    """
    by = request.by or _EVERYTHING
    if request.by is None:
        pairs = pairs.assign(**{by: request.reference})
    sources = [source for name in request.names for source in source_columns(name)]
    rows = check_rows(pairs, [request.measure, by, *sources], request.cluster)
    _check(rows, request, by)
    values = pd.DataFrame({name: covariate(rows, name) for name in request.names}, rows.index)
    complete = rows[request.measure].notna() & np.isfinite(values.to_numpy()).all(axis=1)
    if not complete.any():
        empty = [name for name in request.names if not np.isfinite(values[name].to_numpy()).any()]
        raise ValueError(
            f"Expected rows with a value of {request.measure} and of every covariate, but there are none"
            + (f": {listed(empty)} has no values, so leave it out" if empty else "")
            + "."
        )
    make = _exchanged_rows if request.exchanged else _pair_rows
    found = make(rows[complete], values[complete], request, by)
    if request.covariates is None:
        found = replace(found, covariates=found.covariates.loc[:, _varies(found)])
    chosen = found.in_group
    left_out = {
        f"{by}[{name}]": why
        for name, why in _groups_to_leave_out(
            found.rows[chosen], found.outcome[chosen], request.model, by
        ).items()
    }
    found = found.where(~(chosen & (by + "[" + found.rows[by].astype(str) + "]").isin(left_out)))
    if request.by is None:
        found = replace(found, in_group=np.zeros(len(found.rows), bool))
    images = codes_of(found.rows, ["prompt_id", "image"])
    design = without_rounding(_design(found, by, images, request.model), values[complete])
    for name, why in _cancelled(found, design, values.columns).items():
        left_out[name] = why
        design = design.drop(columns=name)
    for name in redundant_distances(design):
        left_out[name] = "no different from the other terms in these pairs"
        design = design.drop(columns=name)
    centered = found.within and request.model == "ols"
    data = ModelData(
        within_groups(found.outcome, images) if centered else found.outcome,
        design,
        cluster_codes(found.rows, found.cluster),
        codes_of(found.rows, "prompt_id"),
        images,
        codes_of(found.rows, by),
    )
    how = f", {request.tier} exchange of partners" if request.exchanged else ""
    how = ", within images" if found.within else how
    return RegressionSample(
        data,
        found.rows,
        found.cluster,
        left_out,
        _untested(found, request, by, design),
        how,
        int((~complete).sum()),
    )


def _exchanged_rows(rows: pd.DataFrame, values: pd.DataFrame, request: Request, by: str) -> _Rows:
    """Return contrasts with exchanged partners; the covariates are contrasts, too."""
    named = values.add_prefix(_PREFIX)
    exchange = exchange_partners(
        rows.assign(**named),
        request.measure,
        symmetric=request.symmetric,
        covariates=list(named.columns),
    )
    table = exchange.table[exchange.table["tier"] == request.tier].reset_index(drop=True)
    shared = table["structure"].nunique() < table["prompt_id"].nunique()
    by_structure = samples_structures(request.cluster, request.accept, shared=shared)
    covariates = table[list(named.columns)].set_axis(list(values.columns), axis="columns")
    # Distance works in either order for a measure with a direction.
    if set(DISTANCE_FORMS) & set(values.columns):
        covariates = covariates.join(table[[name for name in ORDERS if name in table]])
    return _Rows(
        table,
        table["contrast"].to_numpy(float),
        covariates,
        table["kind"].eq("dependency").to_numpy(bool),
        "structure" if by_structure else request.cluster,
        within=False,
        exchange=exchange,
    )


def _pair_rows(rows: pd.DataFrame, values: pd.DataFrame, request: Request, by: str) -> _Rows:
    """Return the pairs themselves."""
    return _Rows(
        rows,
        rows[request.measure].to_numpy(float),
        values,
        rows[by].ne(str(request.reference)).to_numpy(bool),
        request.cluster,
        within=request.within is not None,
    )


def _check(rows: pd.DataFrame, request: Request, by: str) -> None:
    """Check that the model suits the measure and the clusters, and that there is a reference."""
    measure, model, cluster = request.measure, request.model, request.cluster
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
    found = (
        rows["kind"].eq("unrelated") if request.exchanged else rows[by].eq(str(request.reference))
    )
    if not (found & rows[measure].notna()).any():
        if request.exchanged:
            n = int(found.sum())
            none = (
                f"none of {plural(n, 'such pair')} has one" if n else "the table has no such pair"
            )
            raise ValueError(
                f"Expected unrelated pairs with a value of {measure}, to exchange partners with, but {none}: measure "
                "more prompts, or longer ones."
            )
        groups = ", ".join(map(str, measured[by].unique())) or "none"
        raise ValueError(
            f"Expected the reference {request.reference!r} among the measured groups of {by}, but these are {groups}."
        )


def _groups_to_leave_out(
    rows: pd.DataFrame, outcome: np.ndarray, model: str, by: str
) -> dict[str, str]:
    """Return the groups whose error cannot be estimated, with the reason."""
    reasons: dict[str, str] = {}
    if by == _EVERYTHING:
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


def _varies(found: _Rows) -> np.ndarray:
    """Return which covariates vary in what is regressed. *Shape:* ``(covariate,)``, boolean."""
    values = found.covariates.to_numpy(float)
    if found.within:
        values = within_groups(values, codes_of(found.rows, ["prompt_id", "image"]))
    elif found.exchange is None:  # exchanged values are differences already
        values = values - values.mean(axis=0)
    return np.asarray(np.abs(values).max(axis=0, initial=0.0) > 1e-9)


def _design(found: _Rows, by: str, images: np.ndarray, model: str) -> pd.DataFrame:
    """Return the columns of the terms, centered within images if pairs are compared within them."""
    names = found.rows[by]
    columns = {
        f"{by}[{name}]": (found.in_group & names.eq(name).to_numpy(bool)).astype(float)
        for name in sorted(names[found.in_group].unique())
    }
    design = pd.DataFrame(columns, index=found.rows.index).join(found.covariates)
    if found.exchange is not None:
        return design  # the outcome is a difference already
    if found.within:
        design[:] = within_groups(design.to_numpy(float), images)
    else:
        design[list(found.covariates.columns)] -= found.covariates.mean()
    if not found.within or model != "ols":
        design.insert(0, "intercept", 1.0)
    return design


def _cancelled(found: _Rows, design: pd.DataFrame, covariates: pd.Index) -> dict[str, str]:
    """Return the covariates that are 0 in every comparison, with the reason."""
    if found.rows["prompt_id"].nunique() < MIN_CLUSTERS:
        return {}  # the fit fails for that reason
    if found.exchange is not None:
        why = (
            "cancels when partners are exchanged, as properties of single words do: regress the pairs of one relation "
            "on it, with by=None and within=None"
        )
    elif found.within:
        why = "the same for all pairs of an image: compare between images with within=None"
    else:
        return {}
    return {name: why for name in design.columns.intersection(covariates) if not design[name].any()}


def _untested(found: _Rows, request: Request, by: str, design: pd.DataFrame) -> dict[str, str]:
    """Return the groups or doses that differ in something that is not a covariate, with the reason."""
    constant = {HELD_CONSTANT[name] for name in found.covariates if name in HELD_CONSTANT}
    names = []
    if found.exchange is not None:
        names = [x for x in found.exchange.spread.index if not str(x).startswith(_PREFIX)]
        names = [x for x in names if x not in ORDERS or x not in found.covariates]
    if request.by is None:
        if found.exchange is None:
            return {}  # there are no sides
        return imbalanced_doses(
            [x for x in design.columns if x not in (*SOURCES, *DISTANCE_FORMS, *ORDERS)],
            design,
            found.rows,
            found.exchange,
            request.measure,
            properties=names,
            constant=constant,
            accept=request.accept,
        )
    control = found.rows[~found.in_group]
    reasons = {}
    for name, group in found.rows[found.in_group].groupby(by):
        if found.exchange is None:
            sides = balance(group, control, measure=request.measure)
        else:
            sides = exchange_balance(
                group.groupby("prompt_id")[names].mean(),
                found.exchange.spread,
                request.measure,
                adjusted="distance" in constant,
            )
        differ = [x for x in sides.imbalances if x not in constant and x not in request.accept]
        if differ:
            reasons[f"{by}[{name}]"] = f"the sides differ in {listed(differ)}"
    return reasons
